//! Calls every function of the native contract that needs a grant, one at a time: the message type names it, `INTERFACE.FUNCTION`, the
//! payload is the actor, space, queue, topic, group, lock or name that it is called with. The answer is `ok` or the error's code.
//! `list` names them all.

wit_bindgen::generate!({
    inline: "
        package guest:grasper;
        world grasper {
            include troupe:actor/imports@0.1.0;
            export troupe:actor/gen-server@0.1.0;
        }
    ",
    path: "../../../wit/troupe-actor",
    world: "guest:grasper/grasper",
    generate_all,
});

mod channels;
mod coordination;
mod messaging;
mod processes;
mod tuplespace;

use exports::troupe::actor::gen_server;
use troupe::actor::types::Error;

/// A function and what calls it with a name.
type Grasp = (&'static str, fn(&str) -> Result<(), Error>);

const ALL: &[&[Grasp]] =
    &[messaging::GRASPS, processes::GRASPS, channels::GRASPS, tuplespace::GRASPS, coordination::GRASPS];

struct Grasper;
export!(Grasper);

impl gen_server::Guest for Grasper {
    fn handle_request(_from: String, message_type: String, payload: Vec<u8>) -> Result<Vec<u8>, String> {
        let mut all = ALL.iter().copied().flatten();
        if message_type == "list" {
            return Ok(all.map(|(name, _)| *name).collect::<Vec<_>>().join("\n").into_bytes());
        }
        let name = String::from_utf8(payload).map_err(|_| "the payload must be text")?;
        let (_, grasp) = all.find(|(known, _)| *known == message_type).ok_or("unknown function")?;
        let answer = match grasp(&name) {
            Ok(()) => "ok".to_string(),
            Err(error) => code(error),
        };
        Ok(answer.into_bytes())
    }
}

fn code(error: Error) -> String {
    match error {
        Error::NotPermitted(grant) => format!("not-permitted: {grant}"),
        Error::NotFound(what) => format!("not-found: {what}"),
        Error::InvalidArgument(why) => format!("invalid-argument: {why}"),
        other => format!("{other:?}"),
    }
}
