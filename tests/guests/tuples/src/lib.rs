//! Does to tuple spaces what it is told, a line a call; README.md beside has the language.
//!
//! What casts end with, and the infos of subscriptions, are kept for the call `kept`.

wit_bindgen::generate!({
    inline: "
        package guest:tuples;
        world tuples {
            import troupe:actor/host@0.1.0;
            import troupe:actor/messaging@0.1.0;
            import troupe:actor/tuplespace@0.1.0;
            export troupe:actor/gen-server@0.1.0;
            export troupe:actor/gen-event@0.1.0;
        }
    ",
    path: "../../../wit/troupe-actor",
    world: "guest:tuples/tuples",
    generate_all,
});

use std::cell::RefCell;

use exports::troupe::actor::{gen_event, gen_server};
use troupe::actor::tuplespace::{self as space, Field, FieldType, PatternField, Stored};
use troupe::actor::types::Error;
use troupe::actor::{host, messaging};

thread_local! {
    static KEPT: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

struct Tuples;
export!(Tuples);

impl gen_server::Guest for Tuples {
    fn handle_request(_from: String, message_type: String, payload: Vec<u8>) -> Result<Vec<u8>, String> {
        let text = String::from_utf8_lossy(&payload);
        match message_type.as_str() {
            "do" => run(&text).map(String::into_bytes),
            "kept" => Ok(KEPT.with_borrow(|kept| kept.join("\n")).into_bytes()),
            "pairs" => pairs(text.trim().parse().unwrap_or(1)).map(|()| payload),
            _ => Err(format!("unknown message type: {message_type}")),
        }
    }
}

impl gen_event::Guest for Tuples {
    fn handle_event(from: String, message_type: String, payload: Vec<u8>) -> Result<(), String> {
        let text = String::from_utf8_lossy(&payload);
        let line = match message_type.as_str() {
            "do" => run(&text)?,
            _ => {
                let headers = messaging::current().map(|message| message.headers).unwrap_or_default();
                let headers: Vec<_> = headers.iter().map(|(name, value)| format!("{name}={value}")).collect();
                format!("{from} {message_type} {} {text}", headers.join(" "))
            }
        };
        KEPT.with_borrow_mut(|kept| kept.push(line));
        Ok(())
    }
}

/// So many tuples, each written and taken.
fn pairs(count: u32) -> Result<(), String> {
    for number in 0..count {
        let first = i64::from(number);
        space::write("bench", &[Field::Integer(first), Field::Boolean(true)], None).map_err(code)?;
        let pattern = [PatternField::Exact(Field::Integer(first)), PatternField::Any];
        if space::take("bench", &pattern).map_err(code)?.is_none() {
            return Err("what was written is not there".to_owned());
        }
    }
    Ok(())
}

fn run(script: &str) -> Result<String, String> {
    let answers: Result<Vec<_>, _> = script.lines().filter(|line| !line.trim().is_empty()).map(line).collect();
    answers.map(|answers| answers.join("\n"))
}

/// One line: `FUNCTION|ARGUMENT|..`.
fn line(line: &str) -> Result<String, String> {
    let mut words = line.trim().split('|');
    let function = words.next().unwrap_or_default();
    let words: Vec<&str> = words.collect();
    let word = |at: usize| words.get(at).copied().unwrap_or_default();
    let name = word(0);
    let answer = match function {
        "write" => space::write(name, &tuple(word(1))?, maybe(word(2))?).map(|id| id.to_string()),
        "many" => {
            let mut last = Ok(0);
            for copy in 0..number(word(2))? {
                last = space::write(name, &[tuple(word(1))?, vec![Field::Integer(copy as i64)]].concat(), None);
            }
            last.map(|id| id.to_string())
        }
        "big" => space::write(name, &[Field::Bytes(vec![7; number(word(1))? as usize])], None).map(|id| id.to_string()),
        "wide" => space::write(name, &vec![Field::Null; number(word(1))? as usize], None).map(|id| id.to_string()),
        "renew" => space::renew(name, number(word(1))?, number(word(2))?).map(|()| "renewed".to_owned()),
        "revoke" => space::revoke(name, number(word(1))?).map(|there| there.to_string()),
        "read" => space::read(name, &pattern(word(1))?).map(found),
        "take" => space::take(name, &pattern(word(1))?).map(found),
        "read-blocking" => space::read_blocking(name, &pattern(word(1))?, maybe(word(2))?).map(found),
        "take-blocking" => space::take_blocking(name, &pattern(word(1))?, maybe(word(2))?).map(found),
        "take-each" => {
            let patterns: Result<Vec<_>, _> = word(1).split(';').map(pattern).collect();
            space::take_each(name, &patterns?).map(|all| all.map_or_else(|| "none".to_owned(), |all| list(&all)))
        }
        "read-all" => {
            let limit = maybe(word(3))?.map_or(u32::MAX, |limit| limit as u32);
            space::read_all(name, &pattern(word(1))?, maybe(word(2))?, limit).map(|all| list(&all))
        }
        "count" => space::count(name, &pattern(word(1))?).map(|count| count.to_string()),
        "compare-and-swap" => {
            space::compare_and_swap(name, &pattern(word(1))?, &tuple(word(2))?).map(|old| shown(&old))
        }
        "subscribe" => space::subscribe(name, &pattern(word(1))?).map(|id| id.to_string()),
        "unsubscribe" => space::unsubscribe(number(word(0))?).map(|()| "unsubscribed".to_owned()),
        "add" => add(name, number(word(1))?).map(|total| total.to_string()),
        "nap" => host::sleep_millis(number(word(0))?).map(|()| "slept".to_owned()),
        "spin" => loop {
            core::hint::black_box(0);
        },
        "trap" => core::arch::wasm32::unreachable(),
        _ => return Err(format!("unknown function: {function}")),
    };
    Ok(answer.unwrap_or_else(|error| format!("err: {}", code(error))))
}

/// Counts the one number in a space up, so many times, with others who do the same.
fn add(name: &str, times: u64) -> Result<i64, Error> {
    let (mut done, mut total) = (0, 0);
    while done < times {
        let Some(now) = space::read(name, &[PatternField::Typed(FieldType::Integer)])? else { continue };
        let [Field::Integer(value)] = now.value[..] else { continue };
        match space::compare_and_swap(name, &[PatternField::Exact(Field::Integer(value))], &[Field::Integer(value + 1)])
        {
            Ok(_) => (done, total) = (done + 1, value + 1),
            Err(Error::Conflict) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(total)
}

fn found(stored: Option<Stored>) -> String {
    stored.as_ref().map_or_else(|| "none".to_owned(), shown)
}

fn list(all: &[Stored]) -> String {
    all.iter().map(shown).collect::<Vec<_>>().join(" ")
}

fn shown(stored: &Stored) -> String {
    let fields: Vec<_> = stored.value.iter().map(field_text).collect();
    format!("{}={}", stored.id, fields.join(","))
}

fn field_text(field: &Field) -> String {
    match field {
        Field::Integer(value) => format!("i:{value}"),
        Field::Float(value) => format!("f:{value:?}"),
        Field::Text(value) => format!("t:{value}"),
        Field::Bytes(value) => format!("b:{}", String::from_utf8_lossy(value)),
        Field::Boolean(value) => format!("o:{value}"),
        Field::Null => "n".to_owned(),
    }
}

fn tuple(text: &str) -> Result<Vec<Field>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    text.split(',').map(field).collect()
}

fn field(text: &str) -> Result<Field, String> {
    let bad = |_| format!("not a field: {text}");
    Ok(match text.split_once(':') {
        Some(("i", value)) => {
            Field::Integer(value.parse().map_err(|error: std::num::ParseIntError| bad(error.to_string()))?)
        }
        Some(("f", value)) => {
            Field::Float(value.parse().map_err(|error: std::num::ParseFloatError| bad(error.to_string()))?)
        }
        Some(("t", value)) => Field::Text(value.to_owned()),
        Some(("b", value)) => Field::Bytes(value.as_bytes().to_vec()),
        Some(("o", value)) => Field::Boolean(value == "true"),
        _ if text == "n" => Field::Null,
        _ => return Err(bad(String::new())),
    })
}

fn pattern(text: &str) -> Result<Vec<PatternField>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    text.split(',').map(pattern_field).collect()
}

fn pattern_field(text: &str) -> Result<PatternField, String> {
    Ok(match text {
        "*" => PatternField::Any,
        "?i" => PatternField::Typed(FieldType::Integer),
        "?f" => PatternField::Typed(FieldType::Float),
        "?t" => PatternField::Typed(FieldType::Text),
        "?b" => PatternField::Typed(FieldType::Bytes),
        "?o" => PatternField::Typed(FieldType::Boolean),
        "?n" => PatternField::Typed(FieldType::Null),
        _ => match text.split_once(':') {
            Some(("t", prefix)) if prefix.ends_with('*') => {
                PatternField::Prefix(prefix.trim_end_matches('*').to_owned())
            }
            Some((kind, range)) if range.contains("..") && kind != "t" => {
                let (from, to) = range.split_once("..").unwrap_or_default();
                match kind {
                    "i" => PatternField::IntegerRange((from.parse().ok(), to.parse().ok())),
                    _ => PatternField::FloatRange((from.parse().ok(), to.parse().ok())),
                }
            }
            _ => PatternField::Exact(field(text)?),
        },
    })
}

fn number(text: &str) -> Result<u64, String> {
    text.trim().parse().map_err(|_| format!("not a number: {text}"))
}

fn maybe(text: &str) -> Result<Option<u64>, String> {
    if text.is_empty() { Ok(None) } else { number(text).map(Some) }
}

fn code(error: Error) -> String {
    match error {
        Error::NotPermitted(line) => format!("not-permitted {line}"),
        Error::NotFound(what) => format!("not-found {what}"),
        Error::Timeout => "timeout".to_owned(),
        Error::ResourceExhausted(limit) => format!("resource-exhausted {limit}"),
        Error::InvalidArgument(why) => format!("invalid-argument {why}"),
        Error::TooLarge(limit) => format!("too-large {limit}"),
        Error::Conflict => "conflict".to_owned(),
        other => format!("{other:?}"),
    }
}
