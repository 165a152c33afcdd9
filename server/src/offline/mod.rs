//! Scores the rows of a Parquet file with a version of the store, as the server would, into another Parquet file.
//!
//! Workers take pieces of the file's row groups in turn. Each decodes its piece, scores it on an engine of its own and
//! encodes the result; [`output`] puts the pieces into the file in their order. So reading, scoring and writing keep
//! every core busy, and memory holds a few pieces however long the file is.

pub mod columns;
pub mod model;
mod output;
mod pieces;
pub mod score_file;
mod scored;
