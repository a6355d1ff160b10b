//! The subject mappings of an account (spec 03 §15.1).

use crate::config::options::account::Mapping;
use crate::config::text::quote;
use ::sublist::transform::{MapDestination, SubjectMapping, SubjectMappings};

pub use ::sublist::transform::Mapped;

/// Mappings as one server applies them.
#[derive(Clone, Debug)]
pub struct Mappings {
    list: SubjectMappings,
    /// The name of this server's cluster, empty without one.
    cluster: String,
}

impl Mappings {
    /// From the configuration, which has been checked; `None` without mappings.
    ///
    /// # Errors
    /// The text to print where one cannot be made after all.
    pub fn new(configured: &[Mapping], cluster: &str) -> Result<Option<Mappings>, String> {
        if configured.is_empty() {
            return Ok(None);
        }
        let mut list = SubjectMappings::default();
        for mapping in configured {
            let made = mapping.resolve().map_err(|e| {
                format!("Error adding mapping for {} : {e}", quote(&mapping.source))
            })?;
            list.insert(made);
        }
        Ok(Some(Mappings { list, cluster: cluster.to_owned() }))
    }

    /// The mappings, in order.
    pub fn iter(&self) -> impl Iterator<Item = &SubjectMapping> {
        self.list.iter()
    }

    /// The same mappings with one more, unless there is one of that source already; `None` where
    /// it cannot be made.
    pub fn with(existing: Option<&Mappings>, source: &str, destination: &str) -> Option<Mappings> {
        let mut mappings = existing.cloned().unwrap_or_else(|| Mappings {
            list: SubjectMappings::default(),
            cluster: String::new(),
        });
        if mappings.list.iter().any(|known| known.source() == source.as_bytes()) {
            return Some(mappings);
        }
        let destination = MapDestination {
            subject: destination.as_bytes().to_vec(),
            weight: 100,
            cluster: String::new(),
        };
        let made = SubjectMapping::new(source.as_bytes(), &[destination]).ok()?;
        mappings.list.insert(made);
        Some(mappings)
    }

    /// Appends to `out` what a subject is mapped to.
    pub fn map_into(
        &self,
        subject: &[u8],
        random: impl FnMut() -> u32,
        out: &mut Vec<u8>,
    ) -> Mapped {
        self.list.map_into(subject, &self.cluster, random, out)
    }
}
