//! What `wit-bindgen` makes of the contract: the imports once, and each behaviour as a world of its own, so that an actor exports
//! those that it has and no other.

#![allow(missing_docs, clippy::all)]

pub mod imports {
    wit_bindgen::generate!({
        inline: "package troupe:sdk; world calls { include troupe:actor/imports@0.1.0; }",
        path: "../../wit/troupe-actor",
        world: "troupe:sdk/calls",
        generate_all,
    });
}

pub use imports::troupe::actor::*;

pub mod server {
    wit_bindgen::generate!({
        inline: "package troupe:sdk; world only-server { export troupe:actor/gen-server@0.1.0; }",
        path: "../../wit/troupe-actor",
        world: "troupe:sdk/only-server",
        with: { "troupe:actor/types@0.1.0": crate::bindings::types },
        default_bindings_module: "troupe_sdk::bindings::server",
        pub_export_macro: true,
    });
    pub use exports::troupe::actor::gen_server::Guest;
}

pub mod events {
    wit_bindgen::generate!({
        inline: "package troupe:sdk; world only-events { export troupe:actor/gen-event@0.1.0; }",
        path: "../../wit/troupe-actor",
        world: "troupe:sdk/only-events",
        with: { "troupe:actor/types@0.1.0": crate::bindings::types },
        default_bindings_module: "troupe_sdk::bindings::events",
        pub_export_macro: true,
    });
    pub use exports::troupe::actor::gen_event::Guest;
}

pub mod machine {
    wit_bindgen::generate!({
        inline: "package troupe:sdk; world only-machine { export troupe:actor/gen-fsm@0.1.0; }",
        path: "../../wit/troupe-actor",
        world: "troupe:sdk/only-machine",
        with: { "troupe:actor/types@0.1.0": crate::bindings::types },
        default_bindings_module: "troupe_sdk::bindings::machine",
        pub_export_macro: true,
    });
    pub use exports::troupe::actor::gen_fsm::Guest;
}

pub mod handler {
    wit_bindgen::generate!({
        inline: "package troupe:sdk; world only-handler { export troupe:actor/handler@0.1.0; }",
        path: "../../wit/troupe-actor",
        world: "troupe:sdk/only-handler",
        with: { "troupe:actor/types@0.1.0": crate::bindings::types },
        default_bindings_module: "troupe_sdk::bindings::handler",
        pub_export_macro: true,
    });
    pub use exports::troupe::actor::handler::Guest;
}

pub mod lifecycle {
    wit_bindgen::generate!({
        inline: "package troupe:sdk; world only-lifecycle { export troupe:actor/lifecycle@0.1.0; }",
        path: "../../wit/troupe-actor",
        world: "troupe:sdk/only-lifecycle",
        with: { "troupe:actor/types@0.1.0": crate::bindings::types },
        default_bindings_module: "troupe_sdk::bindings::lifecycle",
        pub_export_macro: true,
    });
    pub use exports::troupe::actor::lifecycle::Guest;
}

pub mod snapshot {
    wit_bindgen::generate!({
        inline: "package troupe:sdk; world only-snapshot { export troupe:actor/snapshot@0.1.0; }",
        path: "../../wit/troupe-actor",
        world: "troupe:sdk/only-snapshot",
        default_bindings_module: "troupe_sdk::bindings::snapshot",
        pub_export_macro: true,
    });
    pub use exports::troupe::actor::snapshot::Guest;
}
