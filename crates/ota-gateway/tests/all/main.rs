//! Tests of the configuration as an operator meets it.

mod example;
