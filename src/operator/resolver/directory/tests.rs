//! A directory of claims over its life.

use super::*;
use crate::jwt::AccountClaims;
use nkeys::KeyPair;
use std::os::unix::fs::PermissionsExt;

const NOW: i64 = 1_700_000_000;

fn token(operator: &KeyPair, account: &KeyPair, issued_at: i64, expires: i64) -> String {
    let mut claims = AccountClaims::new(&account.public_key());
    claims.base.expires = expires;
    claims.encode(operator, issued_at).unwrap()
}

fn options(dir: &Path) -> DirectoryResolver {
    DirectoryResolver {
        directory: dir.to_string_lossy().into_owned(),
        limit: i64::MAX,
        ttl: None,
        interval: Duration::from_secs(60),
        delete: DeleteMode::None,
        fetch_timeout: Duration::from_secs(2),
    }
}

#[test]
fn what_is_saved_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let o = options(&dir.path().join("deep/jwt"));
    let (operator, a) = (KeyPair::new_operator(), KeyPair::new_account());
    let key = a.public_key();
    let mut directory = Directory::open(&o, false, NOW).unwrap();
    assert_eq!(directory.hash(), [0; 32]);
    let claims = token(&operator, &a, NOW, 0);
    assert_eq!(directory.save_if_newer(&key, &claims, NOW), Ok(true));
    let hash = directory.hash();
    assert_eq!(hash, <[u8; 32]>::from(Sha256::digest(claims.as_bytes())));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory.file(&key)), 0o600);
    assert_eq!(mode(directory.path()), 0o700);
    let mut again = Directory::open(&o, false, NOW).unwrap();
    assert_eq!((again.hash(), again.load(&key, NOW)), (hash, Some(claims)));
    assert_eq!(again.accounts(NOW), [key]);
}

#[test]
fn newer_claims_replace_older_ones_and_not_the_other_way_round() {
    let dir = tempfile::tempdir().unwrap();
    let (operator, a) = (KeyPair::new_operator(), KeyPair::new_account());
    let key = a.public_key();
    let mut directory = Directory::open(&options(dir.path()), false, NOW).unwrap();
    let (old, new) = (token(&operator, &a, NOW, 0), token(&operator, &a, NOW + 1, 0));
    assert_eq!(directory.save_if_newer(&key, &new, NOW), Ok(true));
    assert_eq!(directory.save_if_newer(&key, &old, NOW), Ok(false));
    assert_eq!(directory.save_if_newer(&key, &new, NOW), Ok(false));
    assert_eq!(directory.load(&key, NOW), Some(new));
    let other = KeyPair::new_account().public_key();
    assert_eq!(
        directory.save_if_newer(&other, &old, NOW).unwrap_err(),
        "jwt subject nkey and provided nkey do not match"
    );
    assert!(directory.save_if_newer(&key, "x", NOW).is_err());
}

#[test]
fn a_full_directory_refuses_and_a_full_cache_drops_what_was_not_used() {
    let operator = KeyPair::new_operator();
    let accounts = [(); 3].map(|()| KeyPair::new_account());
    let keys = accounts.each_ref().map(KeyPair::public_key);
    for cache in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let o = DirectoryResolver { limit: 2, ..options(dir.path()) };
        let mut directory = Directory::open(&o, cache, NOW).unwrap();
        for (account, key) in accounts.iter().zip(&keys).take(2) {
            directory.save_if_newer(key, &token(&operator, account, NOW, 0), NOW).unwrap();
        }
        assert!(directory.load(&keys[0], NOW).is_some());
        let third = token(&operator, &accounts[2], NOW, 0);
        let saved = directory.save_if_newer(&keys[2], &third, NOW);
        if cache {
            assert_eq!(saved, Ok(true));
            assert!(directory.load(&keys[1], NOW).is_none());
            assert!(directory.load(&keys[0], NOW).is_some());
        } else {
            assert_eq!(saved.unwrap_err(), "jwt store is full");
        }
    }
}

#[test]
fn claims_go_when_they_end_and_cached_ones_when_they_are_not_used() {
    let (operator, a) = (KeyPair::new_operator(), KeyPair::new_account());
    let key = a.public_key();
    let dir = tempfile::tempdir().unwrap();
    let mut directory = Directory::open(&options(dir.path()), false, NOW).unwrap();
    directory.save_if_newer(&key, &token(&operator, &a, NOW, NOW + 10), NOW).unwrap();
    assert!(directory.expire(NOW + 9).is_empty());
    assert_eq!(directory.accounts(NOW + 10), Vec::<String>::new());
    assert_eq!(directory.expire(NOW + 10), std::slice::from_ref(&key));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    assert_eq!(directory.hash(), [0; 32]);

    let dir = tempfile::tempdir().unwrap();
    let o = DirectoryResolver { ttl: Some(Duration::from_secs(10)), ..options(dir.path()) };
    let mut cache = Directory::open(&o, true, NOW).unwrap();
    assert_eq!(cache.check_interval(), 5);
    cache.save_if_newer(&key, &token(&operator, &a, NOW, 0), NOW).unwrap();
    assert!(cache.load(&key, NOW + 8).is_some());
    assert!(cache.expire(NOW + 17).is_empty());
    assert_eq!(cache.expire(NOW + 18), std::slice::from_ref(&key));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn deleting_does_what_is_configured() {
    let (operator, a) = (KeyPair::new_operator(), KeyPair::new_account());
    let key = a.public_key();
    for (delete, left) in [(DeleteMode::Rename, Some("deleted")), (DeleteMode::Hard, None)] {
        let dir = tempfile::tempdir().unwrap();
        let o = DirectoryResolver { delete, ..options(dir.path()) };
        let mut directory = Directory::open(&o, false, NOW).unwrap();
        assert!(directory.allows_delete());
        directory.save_if_newer(&key, &token(&operator, &a, NOW, 0), NOW).unwrap();
        assert_eq!(directory.delete(&key), Ok(()));
        assert_eq!(directory.delete(&key), Ok(()), "it counts as deleted");
        assert!(directory.load(&key, NOW).is_none() && directory.hash() == [0; 32]);
        let file = dir.path().join(format!("{key}.jwt.deleted"));
        assert_eq!(file.exists(), left.is_some());
    }
}

#[test]
fn directories_come_to_have_the_same_claims() {
    let operator = KeyPair::new_operator();
    let accounts = [(); 3].map(|()| KeyPair::new_account());
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut one = Directory::open(&options(one.path()), false, NOW).unwrap();
    let mut two = Directory::open(&options(two.path()), false, NOW).unwrap();
    for account in &accounts {
        let claims = token(&operator, account, NOW, 0);
        one.save_if_newer(&account.public_key(), &claims, NOW).unwrap();
    }
    assert_ne!(one.hash(), two.hash());
    for (account, claims) in one.accounts_and_claims(NOW) {
        let merged = two.merge(&format!("{account}|{claims}"), NOW);
        assert_eq!(merged, Ok(Some(account)));
    }
    assert_eq!(one.hash(), two.hash());
    assert_eq!(
        two.merge("nonsense", NOW).unwrap_err(),
        "line in package didn't contain 2 entries: \"nonsense\""
    );
    assert_eq!(
        two.merge("a|b", NOW).unwrap_err(),
        "key to merge is not a valid public account key"
    );
}

#[test]
fn files_that_others_changed_are_found_when_it_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let (operator, a) = (KeyPair::new_operator(), KeyPair::new_account());
    let key = a.public_key();
    let mut directory = Directory::open(&options(dir.path()), false, NOW).unwrap();
    let file = dir.path().join(format!("{key}.jwt"));
    fs::write(&file, token(&operator, &a, NOW, 0)).unwrap();
    fs::write(dir.path().join("other.jwt"), "x").unwrap();
    assert_eq!(directory.reread(NOW), Ok(vec![key.clone()]));
    assert_eq!(directory.reread(NOW), Ok(vec![]));
    fs::write(&file, token(&operator, &a, NOW + 5, 0)).unwrap();
    assert_eq!(directory.reread(NOW), Ok(vec![key]));
    fs::remove_file(&file).unwrap();
    assert_eq!(directory.reread(NOW), Ok(vec![]));
    assert!(directory.accounts(NOW).is_empty() && directory.hash() == [0; 32]);
}
