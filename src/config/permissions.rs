//! Subjects in lists of permissions: what users, routes and leafnodes may publish and subscribe to
//! (spec 02 §5.2).

use super::text::quote;
use ::sublist::subject::is_valid_subject;

/// Checks a list of permission subjects. With `queues`, an entry may be `"subject queue"`.
///
/// # Errors
/// The reason, naming the entry.
pub fn check<'s>(
    subjects: impl IntoIterator<Item = &'s String>,
    queues: bool,
) -> Result<(), String> {
    for subject in subjects {
        if is_valid_subject(subject.as_bytes()) {
            continue;
        }
        let invalid =
            |subject: &str| Err(format!("subject {} is not a valid subject", quote(subject)));
        if !queues {
            return invalid(subject);
        }
        let mut words = subject.split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some(subject), Some(_), None) if !is_valid_subject(subject.as_bytes()) => {
                return invalid(subject);
            }
            (Some(_), Some(queue), None) if !is_valid_subject(queue.as_bytes()) => {
                return Err(format!("queue {} is not a valid queue", quote(queue)));
            }
            (Some(_), Some(_), None) => {}
            _ => return invalid(subject),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn permission_entries_may_name_a_queue_where_allowed() {
        let check = |subject: &str, queues| super::check([&subject.to_owned()], queues);
        assert_eq!(check("a.* q.*", true), Ok(()));
        assert_eq!(check("a q", false), Err("subject \"a q\" is not a valid subject".to_owned()));
        assert_eq!(check("a. q", true), Err("subject \"a.\" is not a valid subject".to_owned()));
        assert_eq!(check("a q.", true), Err("queue \"q.\" is not a valid queue".to_owned()));
        assert_eq!(
            check("a q x", true),
            Err("subject \"a q x\" is not a valid subject".to_owned())
        );
    }
}
