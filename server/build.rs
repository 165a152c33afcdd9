//! Compiles the gRPC contract with protox, so that no system `protoc` is needed.

use std::{env, error::Error, fs, path::PathBuf};

const PROTO_ROOT: &str = "../proto";
const FILES: [&str; 5] = ["bars", "scoring", "signals", "models", "outcomes"];

fn main() -> Result<(), Box<dyn Error>> {
    let files = FILES.map(|name| format!("candlewire/v1/{name}.proto"));
    for file in &files {
        println!("cargo:rerun-if-changed={PROTO_ROOT}/{file}");
    }
    let descriptors = protox::compile(&files, [PROTO_ROOT])?;
    let out_dir = PathBuf::from(env::var("OUT_DIR")?);
    let encoded = protox::Compiler::new([PROTO_ROOT])?
        .include_imports(true)
        .open_files(&files)?
        .encode_file_descriptor_set();
    fs::write(out_dir.join("candlewire_descriptors.bin"), encoded)?;
    tonic_prost_build::configure()
        .bytes(".")
        .build_client(true)
        .compile_fds(descriptors)?;
    Ok(())
}
