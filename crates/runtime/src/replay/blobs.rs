//! Which bytes out of line a journal names.

use troupe_log::body::{Base, Image, TurnBegin, TurnKind, Upgrade};
use troupe_log::{Digest, Kind, Record};

use super::player::Loaded;

/// The blob that a record names, if it names one. The component of an upgrade only where `components` are wanted.
pub fn blob_of(record: &Record<'_>, components: bool) -> Option<Digest> {
    match record.kind.known()? {
        Kind::Base => match Base::decode(record.body).ok()?.image {
            Image::Blob(digest, _) => Some(digest),
            Image::Inline(_) => None,
        },
        Kind::TurnBegin => {
            let begin = TurnBegin::decode(record.body).ok()?;
            (begin.kind == TurnKind::Load).then(|| Loaded::decode(begin.rest).ok()?.state.err()).flatten()
        }
        Kind::Upgrade if components => Some(Upgrade::decode(record.body).ok()?.to),
        _ => None,
    }
}
