//! Compiles the gRPC contract with protox, so that no system `protoc` is needed.

use std::{env, error::Error, fs, path::PathBuf};

const PROTO_ROOT: &str = "../proto";
const FILES: [&str; 7] = [
    "candlewire/v1/bars.proto",
    "candlewire/v1/scoring.proto",
    "candlewire/v1/signals.proto",
    "candlewire/v1/models.proto",
    "candlewire/v1/outcomes.proto",
    "inference/model_config.proto",
    "inference/grpc_service.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    for file in FILES {
        println!("cargo:rerun-if-changed={PROTO_ROOT}/{file}");
    }
    let descriptors = protox::compile(FILES, [PROTO_ROOT])?;
    let out_dir = PathBuf::from(env::var("OUT_DIR")?);
    let encoded = protox::Compiler::new([PROTO_ROOT])?
        .include_imports(true)
        .open_files(FILES)?
        .encode_file_descriptor_set();
    fs::write(out_dir.join("candlewire_descriptors.bin"), encoded)?;
    tonic_prost_build::configure()
        .bytes(".")
        .build_client(true)
        .compile_fds(descriptors)?;
    Ok(())
}
