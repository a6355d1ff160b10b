//! Reading `mappings {}` (spec 02 §5.10) and checking that they can be applied.

use super::{AccountOptions, MapDestination, Mapping};
use crate::config::lang::{Kind, Value};
use crate::config::load::{Loader, string, table};
use crate::config::report::Diagnostic;
use crate::config::text::{self, quote};
use ::sublist::subject::is_valid_subject;
use ::sublist::transform::{self, MappingError, SubjectMapping};

impl Loader<'_> {
    pub(in crate::config::options) fn account_mappings(
        &mut self,
        account: &mut AccountOptions,
        block: &Value,
    ) {
        let result = self.account_mappings_block(account, block);
        self.ok(result);
    }

    fn account_mappings_block(
        &mut self,
        account: &mut AccountOptions,
        block: &Value,
    ) -> Result<(), Diagnostic> {
        for (source, value) in table(block)?.iter() {
            if !is_valid_subject(source.as_bytes()) {
                let source = quote(source);
                self.error(block, format!("Subject {source} is not a valid subject"));
                continue;
            }
            let mut mapping = Mapping { source: source.to_owned(), destinations: Vec::new() };
            let direct = match &value.kind {
                Kind::String(_) => {
                    let subject = string(value)?;
                    let cluster = String::new();
                    mapping.destinations.push(MapDestination { subject, weight: 100, cluster });
                    true
                }
                Kind::Array(items) => {
                    for item in items.items() {
                        let destination = self.map_destination(item)?;
                        mapping.destinations.extend(destination);
                    }
                    false
                }
                _ => {
                    let Some(destination) = self.map_destination(value)? else { continue };
                    mapping.destinations.push(destination);
                    false
                }
            };
            match mapping.resolve() {
                Ok(_) => {
                    account.mappings.retain(|other| other.source != mapping.source);
                    account.mappings.push(mapping);
                }
                Err(error) => {
                    let to = match mapping.destinations.first() {
                        Some(destination) if direct => {
                            format!(" to {}", quote(&destination.subject))
                        }
                        _ => String::new(),
                    };
                    let source = quote(source);
                    self.error(value, format!("Error adding mapping for {source}{to} : {error}"));
                }
            }
        }
        Ok(())
    }

    /// A destination, or `None` after reporting an error. A wrong type ends all mappings.
    fn map_destination(&mut self, value: &Value) -> Result<Option<MapDestination>, Diagnostic> {
        match parse_destination(value) {
            Err(error) if error.is_wrong_type() => Err(error.wrong_type_of_block(value)),
            result => Ok(self.ok(result)),
        }
    }
}

fn parse_destination(value: &Value) -> Result<MapDestination, Diagnostic> {
    let Some(fields) = value.as_table() else {
        return Err(Diagnostic::at(value, "Expected an entry for the mapping destination"));
    };
    let mut destination = MapDestination::default();
    let mut weight = None;
    for (key, value) in fields.iter() {
        match key.to_lowercase().as_str() {
            "dest" | "destination" => destination.subject = string(value)?,
            "weight" => weight = Some(map_weight(value)?),
            "cluster" => destination.cluster = string(value)?,
            _ => {
                let text = format!("Unknown field {} for mapping destination", quote(key));
                return Err(Diagnostic::at(value, text));
            }
        }
    }
    let Some(weight) = weight else {
        let subject = quote(&destination.subject);
        let text = format!("Missing weight for mapping destination {subject}");
        return Err(Diagnostic::at(value, text));
    };
    destination.weight = weight;
    Ok(destination)
}

fn map_weight(value: &Value) -> Result<u8, Diagnostic> {
    let invalid = |shown: String| {
        Diagnostic::at(value, format!("Invalid weight {shown} for mapping destination"))
    };
    let number = match &value.kind {
        Kind::Integer(number) => *number,
        Kind::String(_) => {
            let written = string(value)?;
            let digits = written.strip_suffix('%').unwrap_or(&written);
            text::parse_integer("Atoi", digits).map_err(|_| invalid(quote(digits)))?
        }
        _ => {
            // The newline is part of the known text.
            let text = format!("Unknown entry type for weight of {value}\n");
            return Err(Diagnostic::at(value, text));
        }
    };
    u8::try_from(number).ok().filter(|w| *w <= 100).ok_or_else(|| invalid(number.to_string()))
}

impl Mapping {
    /// The mapping as an account applies it.
    ///
    /// # Errors
    /// The reason why it cannot be applied.
    pub fn resolve(&self) -> Result<SubjectMapping, String> {
        let destinations: Vec<_> = self
            .destinations
            .iter()
            .map(|d| transform::MapDestination {
                subject: d.subject.clone().into_bytes(),
                weight: d.weight,
                cluster: d.cluster.clone(),
            })
            .collect();
        SubjectMapping::new(self.source.as_bytes(), &destinations).map_err(|error| match error {
            MappingError::DuplicateEntry(subject) => {
                format!("duplicate entry for {}", quote(&subject))
            }
            error => error.to_string(),
        })
    }
}
