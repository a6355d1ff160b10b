//! What a directory of claims keeps, and what has to go.

use super::*;
use crate::jwt::AccountClaims;
use nkeys::KeyPair;

const NOW: i64 = 1_700_000_000;

/// An account whose claims are issued again and again.
struct Subject {
    key: KeyPair,
    id: String,
}

impl Subject {
    fn new() -> Subject {
        let key = KeyPair::new_account();
        let id = key.public_key();
        Subject { key, id }
    }

    fn token(&self, issued_at: i64, expires: i64) -> String {
        let mut claims = AccountClaims::new(&self.id);
        claims.base.expires = expires;
        claims.encode(&self.key, issued_at).unwrap()
    }
}

fn directory(path: &Path, cache: bool, edit: impl FnOnce(&mut DirectoryResolver)) -> Directory {
    let mut options = DirectoryResolver {
        directory: path.to_string_lossy().into_owned(),
        limit: i64::MAX,
        ttl: None,
        interval: Duration::from_secs(60),
        delete: DeleteMode::None,
        fetch_timeout: Duration::from_secs(2),
    };
    edit(&mut options);
    Directory::open(&options, cache, NOW).unwrap()
}

/// The accounts that have a file, in order.
fn files(path: &Path) -> Vec<String> {
    let name = |file: io::Result<fs::DirEntry>| file.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<String> = fs::read_dir(path)
        .unwrap()
        .filter_map(|file| name(file).strip_suffix(".jwt").map(str::to_owned))
        .collect();
    names.sort();
    names
}

fn sorted(subjects: &[&Subject]) -> Vec<String> {
    let mut ids: Vec<String> = subjects.iter().map(|s| s.id.clone()).collect();
    ids.sort();
    ids
}

#[test]
fn claims_are_written_and_read_under_names_of_accounts_only() {
    let dir = tempfile::tempdir().unwrap();
    let accounts = [(); 4].map(|()| Subject::new());
    let tokens = accounts.each_ref().map(|a| a.token(NOW, 0));
    let mut d = directory(dir.path(), false, |_| {});
    for (account, token) in accounts.iter().zip(&tokens) {
        assert_eq!(d.save(&account.id, token, NOW), Ok(true));
    }
    for (account, token) in accounts.iter().zip(&tokens) {
        assert_eq!(d.load(&account.id, NOW).as_ref(), Some(token));
    }
    for unknown in ["random", "", &Subject::new().id] {
        assert_eq!(d.load(unknown, NOW), None, "{unknown:?}");
    }
    assert!(d.save_if_newer("", &tokens[0], NOW).is_err());
    assert!(d.save(&accounts[0].id, "", NOW).is_err());
    assert_eq!(files(dir.path()), sorted(&accounts.each_ref()));
}

#[test]
fn a_directory_that_cannot_be_made_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let options = DirectoryResolver {
        directory: file.join("jwt").to_string_lossy().into_owned(),
        limit: 1,
        ttl: None,
        interval: Duration::from_secs(60),
        delete: DeleteMode::None,
        fetch_timeout: Duration::from_secs(2),
    };
    let error = Directory::open(&options, false, NOW).err().unwrap();
    assert!(error.starts_with("mkdir ") && error.ends_with("not a directory"), "{error}");
}

#[test]
fn a_full_cache_drops_what_was_used_longest_ago_again_and_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut cache = directory(dir.path(), true, |o| o.limit = 2);
    let accounts: Vec<Subject> = (0..12).map(|_| Subject::new()).collect();
    for (n, account) in accounts.iter().enumerate() {
        assert_eq!(cache.save(&account.id, &account.token(NOW, 0), NOW), Ok(true));
        let kept: Vec<&Subject> = accounts[n.saturating_sub(1)..=n].iter().collect();
        assert_eq!(files(dir.path()), sorted(&kept));
        assert_eq!(cache.accounts(NOW), sorted(&kept));
    }
}

#[test]
fn loading_and_updating_keep_claims_in_a_full_cache() {
    let dir = tempfile::tempdir().unwrap();
    let mut cache = directory(dir.path(), true, |o| o.limit = 2);
    let [one, two, three] = [(); 3].map(|()| Subject::new());
    // Issuing the same again takes no more room.
    let before = cache.hash();
    for n in 0..10 {
        cache.save(&one.id, &one.token(NOW + n, 0), NOW).unwrap();
        assert_eq!(files(dir.path()), sorted(&[&one]));
    }
    let first = cache.hash();
    assert_ne!(first, before);
    cache.save(&two.id, &two.token(NOW, 0), NOW).unwrap();
    assert_ne!(cache.hash(), first);
    assert!(cache.load(&one.id, NOW).is_some());
    cache.save(&three.id, &three.token(NOW, 0), NOW).unwrap();
    assert_eq!(files(dir.path()), sorted(&[&one, &three]));
    // Now the first is the oldest, until it is issued again.
    cache.save(&one.id, &one.token(NOW + 20, NOW + 21), NOW).unwrap();
    cache.save(&two.id, &two.token(NOW, 0), NOW).unwrap();
    assert_eq!(files(dir.path()), sorted(&[&one, &two]));
    // What has ended makes room.
    assert_eq!(cache.expire(NOW + 21), std::slice::from_ref(&one.id));
    assert_eq!(files(dir.path()), sorted(&[&two]));
    cache.save(&three.id, &three.token(NOW, 0), NOW + 21).unwrap();
    assert_eq!(files(dir.path()), sorted(&[&two, &three]));
}

#[test]
fn a_full_directory_takes_more_when_something_has_ended() {
    let dir = tempfile::tempdir().unwrap();
    let mut full = directory(dir.path(), false, |o| o.limit = 2);
    let [one, two, three] = [(); 3].map(|()| Subject::new());
    full.save(&one.id, &one.token(NOW, NOW + 100), NOW).unwrap();
    full.save(&two.id, &two.token(NOW, NOW + 1), NOW).unwrap();
    let hash = full.hash();
    let third = three.token(NOW, 0);
    assert_eq!(full.save(&three.id, &third, NOW).unwrap_err(), "jwt store is full");
    assert_eq!((files(dir.path()), full.hash()), (sorted(&[&one, &two]), hash));
    assert_eq!(full.expire(NOW + 2), std::slice::from_ref(&two.id));
    assert_eq!(full.save(&three.id, &third, NOW + 2), Ok(true));
    assert_eq!(files(dir.path()), sorted(&[&one, &three]));
}

#[test]
fn claims_end_when_the_latest_of_them_say() {
    let dir = tempfile::tempdir().unwrap();
    let mut d = directory(dir.path(), false, |o| o.limit = 10);
    let (stays, a) = (Subject::new(), Subject::new());
    assert_eq!(d.hash(), [0; 32]);
    d.save(&stays.id, &stays.token(NOW, NOW + 1000), NOW).unwrap();
    let alone = d.hash();
    let mut hashes = vec![[0; 32], alone];
    for (n, expires, gone_at) in
        [(0, 0, None), (1, NOW + 2, None), (2, 0, None), (3, NOW + 9, Some(NOW + 9))]
    {
        assert_eq!(d.save(&a.id, &a.token(NOW + n, expires), NOW), Ok(true));
        assert!(!hashes.contains(&d.hash()));
        hashes.push(d.hash());
        let now = NOW + 1;
        assert!(d.expire(now).is_empty());
        if let Some(end) = gone_at {
            assert!(d.expire(end - 1).is_empty());
            assert_eq!(d.expire(end), std::slice::from_ref(&a.id));
        } else if expires == 0 {
            assert!(d.expire(NOW + 900).is_empty());
        }
    }
    assert_eq!((d.hash(), files(dir.path())), (alone, sorted(&[&stays])));
}

#[test]
fn whatever_uses_cached_claims_renews_their_time() {
    type Use = fn(&mut Directory, &Subject, &str, i64);
    let load: Use = |d, a, token, now| assert_eq!(d.load(&a.id, now).as_deref(), Some(token));
    let store: Use = |d, a, token, now| assert_eq!(d.save(&a.id, token, now), Ok(false));
    let replace: Use = |d, a, _, now| assert_eq!(d.save(&a.id, &a.token(now, 0), now), Ok(true));
    for usage in [load, store, replace] {
        let dir = tempfile::tempdir().unwrap();
        let mut cache = directory(dir.path(), true, |o| o.ttl = Some(Duration::from_secs(20)));
        let a = Subject::new();
        let token = a.token(NOW, 0);
        cache.save(&a.id, &token, NOW).unwrap();
        for n in 1..5 {
            usage(&mut cache, &a, &token, NOW + 11 * n);
            assert!(cache.expire(NOW + 11 * n).is_empty());
        }
        assert!(cache.expire(NOW + 44 + 19).is_empty());
        assert_eq!(cache.expire(NOW + 44 + 20), std::slice::from_ref(&a.id));
        assert!(files(dir.path()).is_empty());
    }
}

#[test]
fn nothing_is_deleted_where_that_is_not_configured() {
    let dir = tempfile::tempdir().unwrap();
    let mut d = directory(dir.path(), false, |_| {});
    let a = Subject::new();
    d.save(&a.id, &a.token(NOW, 0), NOW).unwrap();
    assert!(!d.allows_delete());
    assert_eq!(d.delete(&a.id).unwrap_err(), "store is not set up to for delete");
    assert_eq!((files(dir.path()), d.accounts(NOW)), (sorted(&[&a]), vec![a.id.clone()]));
    assert!(d.load(&a.id, NOW).is_some() && d.hash() != [0; 32]);
}

#[test]
fn claims_walk_through_a_row_of_directories() {
    let dirs = [(); 4].map(|()| tempfile::tempdir().unwrap());
    let mut row = dirs.each_ref().map(|dir| directory(dir.path(), false, |_| {}));
    for round in 1..4 {
        for _ in 0..3 {
            let a = Subject::new();
            row[0].save(&a.id, &a.token(NOW, 0), NOW).unwrap();
        }
        for n in 1..row.len() {
            let (before, rest) = row.split_at_mut(n);
            for (account, token) in before[n - 1].accounts_and_claims(NOW) {
                let line = format!("{account}|{token}");
                let new = rest[0].merge(&line, NOW).unwrap();
                assert!(new.is_none_or(|new| new == account));
                // What is there already brings no news.
                assert_eq!(rest[0].merge(&line, NOW), Ok(None));
            }
            assert_eq!(rest[0].hash(), before[n - 1].hash());
            assert_eq!(rest[0].accounts(NOW).len(), round * 3);
        }
    }
}

#[test]
fn a_directory_that_is_read_again_has_what_lies_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut d = directory(dir.path(), false, |_| {});
    let accounts = [(); 5].map(|()| Subject::new());
    for (n, a) in accounts.iter().enumerate() {
        fs::write(dir.path().join(format!("{}.jwt", a.id)), a.token(NOW, 0)).unwrap();
        assert_eq!(d.reread(NOW), Ok(vec![a.id.clone()]));
        assert_eq!((d.accounts(NOW).len(), d.hash() == [0; 32]), (n + 1, false));
    }
    // Others may have written claims under a name that is not theirs, or nothing of the kind.
    fs::write(dir.path().join("notes.jwt"), accounts[0].token(NOW, 0)).unwrap();
    fs::write(dir.path().join(format!("{}.jwt", Subject::new().id)), "nothing").unwrap();
    assert_eq!(d.reread(NOW), Ok(vec![]));
    for (n, a) in accounts.iter().enumerate() {
        fs::remove_file(dir.path().join(format!("{}.jwt", a.id))).unwrap();
        assert_eq!(d.reread(NOW), Ok(vec![]));
        assert_eq!(d.accounts_and_claims(NOW).len(), accounts.len() - n - 1);
    }
}
