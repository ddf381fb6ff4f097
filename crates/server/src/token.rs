//! The token that every request must carry: made anew at each start, known to whoever may read the data folder.

use std::fmt;

use troupe_runtime::env::Entropy;

/// 256 random bits in hexadecimal.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// Makes one.
    pub fn new(entropy: &dyn Entropy) -> Self {
        let mut bytes = [0; 32];
        entropy.fill(&mut bytes);
        Self(hex::encode(bytes))
    }

    /// The text that goes into the file and the header.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the value of an `Authorization` header with the token. Takes the same time for every wrong token:
    /// both sides are hashed, and BLAKE3 hashes compare in constant time.
    pub fn authorizes(&self, header: &[u8]) -> bool {
        let Some(given) = header.strip_prefix(b"Bearer ") else {
            return false;
        };
        blake3::hash(given) == blake3::hash(self.0.as_bytes())
    }
}

/// Never shows the token.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Count(u8);
    impl Entropy for Count {
        fn fill(&self, out: &mut [u8]) {
            out.iter_mut().zip(self.0..).for_each(|(o, n)| *o = n);
        }
    }

    #[test]
    fn only_the_whole_token_authorizes() {
        let token = Token::new(&Count(1));
        let good = format!("Bearer {}", token.as_str());
        assert!(token.authorizes(good.as_bytes()));
        assert_eq!(token.as_str().len(), 64);
        assert!(!Token::new(&Count(2)).authorizes(good.as_bytes()));
        for bad in ["", "Bearer ", token.as_str(), &good[..good.len() - 1], &format!("{good}0"), &good.to_lowercase()] {
            assert!(!token.authorizes(bad.as_bytes()), "{bad:?}");
        }
        assert_eq!(format!("{token:?}"), "Token(..)");
    }
}
