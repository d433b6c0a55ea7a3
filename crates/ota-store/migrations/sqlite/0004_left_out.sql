-- What a pass over the list left out so far: the packages that could not be read.
ALTER TABLE passes ADD COLUMN left_out TEXT NOT NULL DEFAULT '';
-- The settings that say where fields stand in the vendor's rows; '' for none.
ALTER TABLE providers ADD COLUMN mapping TEXT NOT NULL DEFAULT '';
-- 1 where all tasks of a job are to be read again, because they were made by other settings.
ALTER TABLE jobs ADD COLUMN read_again INTEGER NOT NULL DEFAULT 0;
