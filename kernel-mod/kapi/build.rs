//! Makes `raw` out of `shim/kpi.h`, the seam between Rust and the shims.

use std::{env, path::PathBuf};

fn main() {
    let header = PathBuf::from("../shim/kpi.h");
    // It includes its neighbours.
    println!("cargo::rerun-if-changed=../shim");
    println!("cargo::rerun-if-changed=../shim/kpi_mm.h");
    let bindings = bindgen::Builder::default()
        .header(header.display().to_string())
        .clang_arg("-D__BINDGEN__")
        .use_core()
        .layout_tests(false)
        .derive_default(true)
        .allowlist_item("kpi_.*|KPI_.*|kapi_event")
        .prepend_enum_name(false)
        .generate()
        .expect("kpi.h can be read");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    bindings.write_to_file(out.join("raw.rs")).expect("OUT_DIR can be written");
}
