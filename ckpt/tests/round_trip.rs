//! What is encoded is decoded, and looks on the wire as it always did.

mod common;

use ckpt::stream::{chunks, AssembleError, Assembler, Chunk};
use ckpt::{Final, Manifest};
use holon_simkit::Rng;

#[test]
fn any_manifest_comes_back() {
    for seed in 0..1500 {
        let rng = &mut Rng::new(seed);
        let manifest = if rng.coin() { common::live(rng) } else { common::exec(rng) };
        let image = manifest.encode().expect("encodes");
        assert_eq!(Manifest::decode(&image).as_ref(), Ok(&manifest), "seed {seed}");
        let again = Manifest::decode(&image).expect("decodes").encode();
        assert_eq!(again, Ok(image), "seed {seed}");
    }
}

#[test]
fn any_final_part_comes_back() {
    for seed in 0..1500 {
        let rng = &mut Rng::new(seed);
        let last = common::last(rng);
        let image = last.encode().expect("encodes");
        assert_eq!(Final::decode(&image), Ok(last), "seed {seed}");
    }
}

/// The bytes of images of format 1, made once. If this fails, nodes of two versions can't talk:
/// add fields at the end of a record and raise its version instead.
///
/// `UPDATE_GOLDEN=1` writes them again, for a format that was never released.
#[test]
fn golden_bytes() {
    let images = [
        ("live", common::live(&mut Rng::new(7)).encode()),
        ("exec", common::exec(&mut Rng::new(8)).encode()),
        ("final", common::last(&mut Rng::new(9)).encode()),
    ];
    for (name, image) in images {
        let image = image.expect("encodes");
        let path = format!("{}/tests/golden/{name}.image", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &image).expect("written");
        }
        let golden = std::fs::read(&path).expect("read");
        assert!(golden == image, "{name} is encoded differently from {path}");
    }
}

#[test]
fn golden_images_are_read() {
    let read = |name: &str| {
        let path = format!("{}/tests/golden/{name}.image", env!("CARGO_MANIFEST_DIR"));
        std::fs::read(path).expect("read")
    };
    assert_eq!(Manifest::decode(&read("live")), Ok(common::live(&mut Rng::new(7))));
    assert_eq!(Manifest::decode(&read("exec")), Ok(common::exec(&mut Rng::new(8))));
    assert_eq!(Final::decode(&read("final")), Ok(common::last(&mut Rng::new(9))));
}

#[test]
fn chunks_are_put_together() {
    for seed in 0..300 {
        let rng = &mut Rng::new(seed);
        let len = rng.index(5000) + 1;
        let image: Vec<u8> = (0..len).map(|_| rng.byte()).collect();
        let mut assembler = Assembler::new();
        let mut whole = None;
        for chunk in chunks(&image, rng.index(700) + 1) {
            assert_eq!(whole, None, "whole before its end");
            whole = assembler.push(chunk).expect("in order");
        }
        assert_eq!(whole.as_ref(), Some(&image));
    }
}

#[test]
fn chunks_that_do_not_fit_are_refused() {
    let chunk = |total_len, offset, bytes| Chunk { total_len, offset, bytes };
    let fresh = |chunk| Assembler::new().push(chunk);
    assert_eq!(fresh(chunk(0, 0, b"")), Err(AssembleError::Length));
    assert_eq!(fresh(chunk(u32::MAX, 0, b"a")), Err(AssembleError::Length));
    assert_eq!(fresh(chunk(4, 0, b"")), Err(AssembleError::Order));
    assert_eq!(fresh(chunk(4, 1, b"a")), Err(AssembleError::Order));
    assert_eq!(fresh(chunk(4, 0, b"abcde")), Err(AssembleError::Length));
    let mut assembler = Assembler::new();
    assert_eq!(assembler.push(chunk(4, 0, b"ab")), Ok(None));
    assert_eq!(assembler.push(chunk(5, 2, b"c")), Err(AssembleError::Order));
    assert_eq!(assembler.push(chunk(4, 0, b"ab")), Err(AssembleError::Order));
    assert_eq!(assembler.push(chunk(4, 2, b"cd")), Ok(Some(b"abcd".to_vec())));
    assert_eq!(chunks(&[], 10).count(), 0);
}
