use proptest::prelude::*;

use super::*;

fn tensor(datatype: &str, shape: &[i64]) -> oip::model_infer_request::InferInputTensor {
    oip::model_infer_request::InferInputTensor {
        name: INPUT.into(),
        datatype: datatype.into(),
        shape: shape.to_vec(),
        ..Default::default()
    }
}

fn raw(datatype: &str, shape: &[i64], bytes: Vec<u8>) -> Result<Rows, String> {
    let request = oip::ModelInferRequest {
        inputs: vec![tensor(datatype, shape)],
        raw_input_contents: vec![bytes.into()],
        ..Default::default()
    };
    rows(&request).map_err(|error| error.to_string())
}

fn typed(
    datatype: &str,
    shape: &[i64],
    contents: oip::InferTensorContents,
) -> Result<Rows, String> {
    let mut tensor = tensor(datatype, shape);
    tensor.contents = Some(contents);
    let request = oip::ModelInferRequest {
        inputs: vec![tensor],
        ..Default::default()
    };
    rows(&request).map_err(|error| error.to_string())
}

fn bytes<const N: usize, T: Copy>(values: &[T], encode: fn(T) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(|value| encode(*value)).collect()
}

#[test]
fn every_raw_type_gives_the_same_row() {
    let small = [0_u8, 1, 1, 0];
    let signed = small.map(|value| value as i8);
    let cases: [(&str, Vec<u8>); 13] = [
        ("BOOL", small.to_vec()),
        ("UINT8", small.to_vec()),
        ("INT8", bytes(&signed, i8::to_le_bytes)),
        ("UINT16", bytes(&small.map(u16::from), u16::to_le_bytes)),
        ("INT16", bytes(&small.map(i16::from), i16::to_le_bytes)),
        ("UINT32", bytes(&small.map(u32::from), u32::to_le_bytes)),
        ("INT32", bytes(&small.map(i32::from), i32::to_le_bytes)),
        ("UINT64", bytes(&small.map(u64::from), u64::to_le_bytes)),
        ("INT64", bytes(&small.map(i64::from), i64::to_le_bytes)),
        ("FP32", bytes(&small.map(f32::from), f32::to_le_bytes)),
        ("FP64", bytes(&small.map(f64::from), f64::to_le_bytes)),
        ("FP16", bytes(&small.map(f16::from), f16::to_le_bytes)),
        ("BF16", bytes(&small.map(bf16::from), bf16::to_le_bytes)),
    ];
    for (datatype, encoded) in cases {
        let read = raw(datatype, &[2, 2], encoded).unwrap();
        assert_eq!(read.rows, 2, "{datatype}");
        assert_eq!(read.values, [0.0, 1.0, 1.0, 0.0], "{datatype}");
    }
}

#[test]
fn every_typed_content_gives_the_same_row() {
    let contents = oip::InferTensorContents {
        bool_contents: vec![true, false],
        int_contents: vec![1, 0],
        int64_contents: vec![1, 0],
        uint_contents: vec![1, 0],
        uint64_contents: vec![1, 0],
        fp32_contents: vec![1.0, 0.0],
        fp64_contents: vec![1.0, 0.0],
        bytes_contents: Vec::new(),
    };
    for datatype in [
        "BOOL", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64", "FP32",
        "FP64",
    ] {
        let read = typed(datatype, &[2], contents.clone()).unwrap();
        assert_eq!((read.rows, read.values), (1, vec![1.0, 0.0]), "{datatype}");
    }
    for datatype in ["FP16", "BF16"] {
        let problem = typed(datatype, &[2], contents.clone()).unwrap_err();
        assert!(problem.contains("raw_input_contents"), "{problem}");
    }
}

#[test]
fn an_integer_that_float32_cannot_hold_is_named() {
    let limit = 1_i64 << 24;
    let held = raw("INT64", &[2], bytes(&[limit, limit + 2], i64::to_le_bytes)).unwrap();
    assert_eq!(held.values, [16_777_216.0, 16_777_218.0]);
    for (datatype, encoded) in [
        ("INT64", bytes(&[0, limit + 1], i64::to_le_bytes)),
        ("INT64", bytes(&[0, i64::MAX], i64::to_le_bytes)),
        ("UINT64", bytes(&[0, u64::MAX], u64::to_le_bytes)),
        ("INT32", bytes(&[0, i32::MAX], i32::to_le_bytes)),
        ("UINT32", bytes(&[0, u32::MAX], u32::to_le_bytes)),
        ("FP64", bytes(&[0.0, 1e39], f64::to_le_bytes)),
    ] {
        let problem = raw(datatype, &[2], encoded).unwrap_err();
        assert!(
            problem.contains("features[1]") && problem.contains("float32"),
            "{datatype}: {problem}"
        );
    }
}

#[test]
fn what_is_no_tensor_is_refused_with_its_remedy() {
    let eight = vec![0_u8; 8];
    for (problem, expected) in [
        (raw("BYTES", &[2], eight.clone()), "no numeric type"),
        (raw("FP32", &[3], eight.clone()), "3 elements of 4 bytes"),
        (raw("FP32", &[0], Vec::new()), "above zero"),
        (raw("FP32", &[-1, 2], eight.clone()), "above zero"),
        (raw("FP32", &[1, 1, 2], eight.clone()), "[rows, features]"),
        (
            raw("FP32", &[i64::MAX, i64::MAX], eight.clone()),
            "above zero",
        ),
        (raw("FP32", &[i64::MAX, 1], eight), "were announced"),
        (raw("BOOL", &[1], vec![2]), "send 0 or 1"),
    ] {
        let problem = problem.unwrap_err();
        assert!(problem.contains(expected), "{expected}: {problem}");
    }
    let wide = oip::InferTensorContents {
        int_contents: vec![300],
        ..Default::default()
    };
    let problem = typed("INT8", &[1], wide).unwrap_err();
    assert!(problem.contains("outside -128..=127"), "{problem}");
}

proptest! {
    #[test]
    fn raw_bytes_of_any_kind_never_panic(
        datatype in prop::sample::select(ElementType::ALL.map(|(name, _)| name).to_vec()),
        shape in prop::collection::vec(any::<i64>(), 0..4),
        small in prop::collection::vec(1_i64..5, 1..3),
        encoded in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let _ = raw(datatype, &shape, encoded.clone());
        if let Ok(read) = raw(datatype, &small, encoded) {
            prop_assert_eq!(read.values.len() as i64, small.iter().product::<i64>());
        }
    }
}
