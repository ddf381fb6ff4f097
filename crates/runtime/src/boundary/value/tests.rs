use wasmtime::component::types::ComponentItem;

use super::*;
use crate::boundary::{Recordable, dummy};

const WORLD: &str = "
    package test:codec;
    interface f {
        record point { x: s16, y: option<f32> }
        variant shape { dot, circle(u8), many(list<point>) }
        enum level { low, middle, high }
        flags rights { a, b, c, d, e, f, g, h, i }
        resource handle;
        all: func(a: tuple<bool, s8, u8>, b: list<u8>, c: option<string>, d: result<u32, string>, e: level, f: rights,
                  g: shape, h: point, i: char, j: f64, k: result<_, level>, l: list<u64>, m: s64) -> result;
        one: func(pair: tuple<u32, string>);
        some: func(amount: u32, note: option<string>);
        none: func();
        held: func(x: list<option<borrow<handle>>>) -> result<own<handle>>;
    }
    world w { export f; }";

fn params(name: &str) -> Vec<(String, Type)> {
    let engine = dummy::engine();
    let component = dummy::component(&engine, &[], WORLD);
    let ty = component.component_type();
    let (_, item) = ty.exports(&engine).next().unwrap();
    let ComponentItem::ComponentInstance(instance) = item.ty else { panic!("no instance") };
    let Some(ComponentItem::ComponentFunc(func)) = instance.get_export(&engine, name).map(|item| item.ty) else {
        panic!("no {name}")
    };
    func.params().map(|(name, ty)| (name.to_owned(), ty)).collect()
}

#[derive(Debug, Clone, PartialEq)]
struct Point {
    x: i16,
    y: Option<f32>,
}
crate::recordable_record!(Point { x, y });

#[derive(Debug, Clone, PartialEq)]
enum Shape {
    Dot,
    Circle(u8),
    Many(Vec<Point>),
}
crate::recordable_variant!(Shape { Dot, Circle(radius), Many(points) });

#[derive(Debug, Clone, Copy, PartialEq)]
enum Level {
    Low,
    Middle,
    High,
}
crate::recordable_enum!(Level { Low, Middle, High });

wasmtime::component::flags! {
    Rights {
        #[component(name = "a")] const A;
        #[component(name = "b")] const B;
        #[component(name = "c")] const C;
        #[component(name = "d")] const D;
        #[component(name = "e")] const E;
        #[component(name = "f")] const F;
        #[component(name = "g")] const G;
        #[component(name = "h")] const H;
        #[component(name = "i")] const I;
    }
}
crate::recordable_flags!(Rights { A, B, C, D, E, F, G, H, I });

fn bytes(value: impl Recordable) -> Vec<u8> {
    let mut out = Vec::new();
    value.encode(&mut out);
    out
}

/// Bytes of the typed codec for arguments `a` to `m` of `all`, in two sets.
fn typed(second: bool) -> Vec<Vec<u8>> {
    let (none, some) = (None::<String>, Some("grüß".to_owned()));
    let points = vec![Point { x: -2, y: Some(1.5) }, Point { x: 7, y: None }];
    if second {
        return vec![
            bytes((true, -1i8, 255u8)),
            bytes(Vec::<u8>::new()),
            bytes(none),
            bytes(Err::<u32, String>("no".into())),
            bytes(Level::High),
            bytes(Rights::A | Rights::I),
            bytes(Shape::Many(points)),
            bytes(Point { x: i16::MIN, y: Some(f32::NAN) }),
            bytes('ß'),
            bytes(-0.0f64),
            bytes(Err::<(), Level>(Level::Low)),
            bytes(vec![1u64, u64::MAX]),
            bytes(-5i64),
        ];
    }
    vec![
        bytes((false, 5i8, 6u8)),
        bytes(vec![1u8, 2, 3]),
        bytes(some),
        bytes(Ok::<u32, String>(9)),
        bytes(Level::Middle),
        bytes(Rights::B | Rights::H),
        bytes(Shape::Circle(3)),
        bytes(Point { x: 1, y: None }),
        bytes('a'),
        bytes(f64::MAX),
        bytes(Ok::<(), Level>(())),
        bytes(Vec::<u64>::new()),
        bytes(i64::MIN),
    ]
}

const FIRST: &str = r#"((false, 5, 6), [1, 2, 3], some("grüß"), ok(9), middle, {b, h}, circle(3), {x: 1},
    'a', 1.7976931348623157e308, ok, [], -9223372036854775808)"#;
const SECOND: &str = r#"((true, -1, 255), [], none, err("no"), high, {i, a}, many([{x: -2, y: some(1.5)}, {x: 7}]),
    {x: -32768, y: some(nan)}, 'ß', -0.0, err(low), [1, 18446744073709551615], -5)"#;

#[test]
fn every_type_has_the_bytes_of_the_typed_codec() {
    let params = params("all");
    for (second, wave) in [(false, FIRST), (true, SECOND)] {
        let expected = typed(second);
        assert_eq!(parse_arguments(&params, wave).unwrap(), expected.concat(), "{wave}");
        for ((name, ty), expected) in params.iter().zip(&expected) {
            let mut input = Reader::new(expected);
            let val = decode(&mut input, ty).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(input.finish(), Ok(()), "{name}");
            let mut again = Vec::new();
            encode(&val, ty, &mut again).unwrap();
            assert_eq!(again, *expected, "{name}");
        }
    }
}

#[test]
fn the_typed_codec_reads_it_back() {
    let shape = bytes(Shape::Many(vec![Point { x: 1, y: Some(2.0) }]));
    assert_eq!(Shape::decode(&mut Reader::new(&shape)), Ok(Shape::Many(vec![Point { x: 1, y: Some(2.0) }])));
    let rights = bytes(Rights::C | Rights::I);
    assert_eq!(rights, [0b100, 1]);
    assert_eq!(Rights::decode(&mut Reader::new(&rights)), Ok(Rights::C | Rights::I));
    assert_eq!(Level::decode(&mut Reader::new(&[2])), Ok(Level::High));
    assert_eq!(Shape::decode(&mut Reader::new(&bytes(Shape::Dot))), Ok(Shape::Dot));
    assert!(Level::decode(&mut Reader::new(&[3])).is_err());
}

#[test]
fn bytes_cut_anywhere_or_changed_anywhere_never_panic() {
    let params = params("all");
    for set in [typed(false), typed(true)] {
        for ((name, ty), whole) in params.iter().zip(set) {
            for cut in 0..whole.len() {
                assert!(decode(&mut Reader::new(&whole[..cut]), ty).is_err(), "{name} cut at {cut}");
            }
            for at in 0..whole.len() {
                for flip in [1u8, 0x80, 0xff] {
                    let mut changed = whole.clone();
                    changed[at] ^= flip;
                    // What is read from changed bytes is again a value of the type, with bytes of its own.
                    if let Ok(val) = decode(&mut Reader::new(&changed), ty) {
                        encode(&val, ty, &mut Vec::new()).unwrap();
                    }
                }
            }
        }
    }
}

#[test]
fn a_count_that_the_bytes_cannot_hold_is_refused_before_allocation() {
    let params = params("all");
    let (_, list) = params.iter().find(|(name, _)| name == "l").unwrap();
    let mut input = [0xfe, 0xff, 0xff, 0x7f].to_vec();
    input.extend([0; 64]);
    assert!(matches!(decode(&mut Reader::new(&input), list), Err(DecodeError::Short { .. })));
}

#[test]
fn a_value_of_another_type_is_an_error() {
    assert!(encode(&Val::U8(1), &Type::U32, &mut Vec::new()).is_err());
    let params = params("all");
    let (_, point) = params.iter().find(|(name, _)| name == "h").unwrap();
    let other = Val::Record(vec![("y".into(), Val::Option(None)), ("x".into(), Val::S16(1))]);
    assert!(encode(&other, point, &mut Vec::new()).is_err());
    let (_, level) = params.iter().find(|(name, _)| name == "e").unwrap();
    assert!(encode(&Val::Enum("top".into()), level, &mut Vec::new()).is_err());
}

#[test]
fn resources_are_found_inside_of_types_and_have_no_bytes() {
    let held = params("held");
    assert!(has_resource(&held[0].1));
    assert!(!params("all").iter().any(|(_, ty)| has_resource(ty)));
    assert!(decode(&mut Reader::new(&[1, 0, 0, 0, 1, 0, 0, 0, 0]), &held[0].1).is_err());
}

#[test]
fn arguments_may_stand_with_or_without_parentheses() {
    let some = params("some");
    let expected = bytes((42u32, None::<String>));
    for wave in ["(42)", "42", " (42, none) ", "42, none"] {
        assert_eq!(parse_arguments(&some, wave).as_deref(), Ok(&expected[..]), "{wave}");
    }
    let one = params("one");
    let expected = bytes((1u32, "x".to_owned()));
    for wave in [r#"(1, "x")"#, r#"((1, "x"))"#] {
        assert_eq!(parse_arguments(&one, wave).as_deref(), Ok(&expected[..]), "{wave}");
    }
    let none = params("none");
    assert_eq!(parse_arguments(&none, "()").as_deref(), Ok(&[][..]));
    assert_eq!(parse_arguments(&none, "").as_deref(), Ok(&[][..]));
}

#[test]
fn an_argument_that_does_not_fit_is_named_with_its_type() {
    let some = params("some");
    for (wave, expected) in [
        (r#"("x")"#, "argument `amount` is of type u32, and `\"x\"` does not fit"),
        ("(1, 2)", "argument `note` is of type option<string>, and `2` does not fit"),
        ("(4294967296)", "argument `amount` is of type u32"),
        ("", "the function takes (amount: u32, note: option<string>), but got nothing"),
        ("(1, none, 2)", "but got 3 arguments"),
        ("(1", "cannot be read"),
    ] {
        let error = parse_arguments(&some, wave).unwrap_err();
        assert!(error.contains(expected), "{wave}: {error}");
    }
    let error = parse_arguments(&params("none"), "(1)").unwrap_err();
    assert!(error.contains("takes no arguments"), "{error}");
}
