//! Looks at its own journal: `newest` N answers a line a record, `SEQ KIND HEAD`.

wit_bindgen::generate!({
    inline: "
        package guest:self-reader;
        world self-reader {
            import troupe:journal/records@0.1.0;
            export troupe:actor/gen-server@0.1.0;
        }
    ",
    path: ["../../../wit/troupe-actor", "../../../wit/troupe-journal"],
    world: "guest:self-reader/self-reader",
    generate_all,
});

use exports::troupe::actor::gen_server;
use troupe::journal::records;

struct SelfReader;
export!(SelfReader);

impl gen_server::Guest for SelfReader {
    fn handle_request(_from: String, message_type: String, payload: Vec<u8>) -> Result<Vec<u8>, String> {
        if message_type != "newest" {
            return Err(format!("unknown message type: {message_type}"));
        }
        let text = String::from_utf8_lossy(&payload);
        let count = text.trim().parse().map_err(|_| format!("not a number: {text}"))?;
        let entries = records::newest(count);
        assert!(entries.len() <= count as usize, "no more than was asked for");
        let lines = entries.iter().map(|entry| {
            assert_eq!(entry.head.len(), 32);
            let head: String = entry.head.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{} {} {head}\n", entry.seq, entry.kind)
        });
        Ok(lines.collect::<String>().into_bytes())
    }
}
