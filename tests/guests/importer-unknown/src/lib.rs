//! Imports a function of an interface that nobody provides: loading it must fail, and name `nobody:knows/this@0.1.0`.

wit_bindgen::generate!({
    inline: "
        package guest:importer-unknown;
        world importer-unknown {
            import nobody:knows/this@0.1.0;
            export troupe:actor/gen-server@0.1.0;
        }
        package nobody:knows@0.1.0 {
            interface this { ask: func(question: string) -> string; }
        }
    ",
    path: "../../../wit/troupe-actor",
    world: "guest:importer-unknown/importer-unknown",
    generate_all,
});

use exports::troupe::actor::gen_server;
use nobody::knows::this;

struct Importer;
export!(Importer);

impl gen_server::Guest for Importer {
    fn handle_request(_from: String, message_type: String, _payload: Vec<u8>) -> Result<Vec<u8>, String> {
        Ok(this::ask(&message_type).into_bytes())
    }
}
