//! Calling an actor's exported functions by name.

use troupe_log::ActorId;

use super::{Node, Outgoing};
use crate::actor::message::CallError;

impl Node {
    /// Calls an exported function with WAVE arguments, `bank:ledger/account#deposit` and `(42)`; the answer is WAVE too.
    pub async fn call_typed(&self, to: &ActorId, function: &str, arguments: &str) -> Result<String, CallError> {
        self.call_typed_with(to, Outgoing::new(function, []), arguments).await
    }

    /// The same with the timeout, the idempotency key and the headers of `call`, whose type is the function. Its payload is
    /// made from `arguments`.
    pub async fn call_typed_with(&self, to: &ActorId, call: Outgoing, arguments: &str) -> Result<String, CallError> {
        let cell = self.core.cell(to).ok_or_else(|| CallError::NotFound(to.to_string()))?;
        let (code, digest) = {
            let life = cell.life.lock();
            (life.code.clone(), life.entry.component)
        };
        let code = match code {
            Some(code) => code,
            None => self.core.components.get(digest).await.map_err(|error| CallError::Internal(error.to_string()))?,
        };
        let function = &*call.message_type;
        let Some(signature) = code.contract.typed().get(function) else {
            let known: Vec<_> = code.contract.typed().names().collect();
            return Err(CallError::Invalid(format!(
                "{to} exports no function `{function}`; it has {}",
                known.join(", ")
            )));
        };
        let payload = signature.arguments(arguments).map_err(CallError::Invalid)?.into();
        let answer = self.call(to, Outgoing { payload, ..call }).await?;
        signature.results(&answer).map_err(CallError::Internal)
    }
}
