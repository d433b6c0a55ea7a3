-- What a pass over the list left out so far: the packages that could not be read.
ALTER TABLE passes ADD COLUMN left_out TEXT COLLATE "C" NOT NULL DEFAULT '';
-- The settings that say where fields stand in the vendor's rows; '' for none.
ALTER TABLE providers ADD COLUMN mapping TEXT COLLATE "C" NOT NULL DEFAULT '';
-- 1 where all tasks of a job are to be read again, because they were made by other settings.
ALTER TABLE jobs ADD COLUMN read_again BIGINT NOT NULL DEFAULT 0;
