//! Tests of the store as a whole, over disks that can be cut.

mod conformance;
mod crash;
mod damage;
mod full;
mod journal_file;
mod old_folder;
