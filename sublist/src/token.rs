//! The token of a trie node: sixteen bytes, short tokens inline.

/// A token's bytes, owned.
#[derive(Debug)]
pub(crate) enum NodeToken {
    Inline {
        len: u8,
        bytes: [u8; INLINE],
    },
    /// Boxed twice to take one word here; long tokens are rare.
    #[expect(clippy::box_collection, reason = "a thin pointer keeps a node in one cache line")]
    Heap(Box<Vec<u8>>),
}

/// With the length and the variant, these fill sixteen bytes.
const INLINE: usize = 14;

const _: () = assert!(std::mem::size_of::<NodeToken>() == 16);

impl NodeToken {
    pub(crate) fn new(token: &[u8]) -> Self {
        let mut bytes = [0; INLINE];
        match (bytes.get_mut(..token.len()), u8::try_from(token.len())) {
            (Some(start), Ok(len)) => {
                start.copy_from_slice(token);
                Self::Inline { len, bytes }
            }
            _ => Self::Heap(Box::new(token.to_vec())),
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Inline { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Self::Heap(token) => token,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_any_length_are_kept() {
        for len in [0, 1, 13, 14, 15, 255, 256, 270, 5000] {
            let token: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
            assert_eq!(NodeToken::new(&token).as_bytes(), token);
        }
    }
}
