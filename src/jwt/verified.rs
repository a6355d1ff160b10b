//! What the configuration reads from tokens, with their signatures checked.

use super::{decode_account, decode_operator, decode_user};
use crate::config::claims::{ClaimsDecoder, UserClaims};
use crate::config::options::operator::OperatorClaims;

/// Reads claims of tokens whose signatures are right.
#[derive(Clone, Copy, Debug, Default)]
pub struct VerifiedClaims;

impl ClaimsDecoder for VerifiedClaims {
    fn operator(&self, token: &str) -> Result<OperatorClaims, String> {
        let claims = decode_operator(token).map_err(|e| e.to_string())?;
        Ok(OperatorClaims {
            subject: claims.base.subject,
            account_server_url: claims.account_server_url,
            system_account: claims.system_account,
            signing_keys: claims.signing_keys,
            assert_server_version: claims.assert_server_version,
            strict_signing_key_usage: claims.strict_signing_key_usage,
        })
    }

    fn account(&self, token: &str) -> Result<(), String> {
        decode_account(token).map(|_| ()).map_err(|e| e.to_string())
    }

    fn user(&self, token: &str) -> Result<UserClaims, String> {
        let claims = decode_user(token).map_err(|e| e.to_string())?;
        Ok(UserClaims {
            bearer_token: claims.user.bearer_token,
            has_empty_permissions: claims.has_empty_permissions(),
            issuer_account: claims.issuer_account,
        })
    }
}
