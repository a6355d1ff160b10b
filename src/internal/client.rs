//! An internal client: who a part of this server is in one account.

use super::inbox::Inbox;
use crate::account::Account;
use crate::account::imports::shadows;
use crate::delivery::{Kind, Message, Origin, Share};
use crate::server::Server;
use crate::subscription::{Destination, Subscription};
use ::sublist::SublistError;
use eventloop::Stager;
use std::sync::Arc;

/// A part of this server as publisher and subscriber in one account. It never gets its own messages.
pub struct Client {
    id: u64,
    kind: Kind,
    account: Arc<Account>,
    inbox: Arc<Inbox>,
}

/// Where messages of an internal subscription go.
pub struct Endpoint {
    /// Who subscribed.
    pub client: Arc<Client>,
    /// What the owner of the inbox knows the subscription by.
    pub tag: u64,
    /// Tells subjects it does not serve although they match, so that they find no responder.
    refuses: Option<fn(&[u8]) -> bool>,
}

/// A subscription of an internal client, with what it has in other accounts.
pub struct Interest {
    subscription: Arc<Subscription>,
    shadows: Vec<Arc<Subscription>>,
}

impl Interest {
    /// The subscription in the client's own account.
    pub fn subscription(&self) -> &Arc<Subscription> {
        &self.subscription
    }
}

impl Client {
    /// A client of that kind, whose messages arrive in `inbox`.
    pub fn new(
        server: &Server,
        kind: Kind,
        account: &Arc<Account>,
        inbox: &Arc<Inbox>,
    ) -> Arc<Client> {
        let id = server.next_cid();
        Arc::new(Client { id, kind, account: account.clone(), inbox: inbox.clone() })
    }

    /// Its id, of the series of connection ids.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The account it is in.
    pub fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// Where its messages arrive.
    pub fn inbox(&self) -> &Arc<Inbox> {
        &self.inbox
    }

    /// What its messages say of where they come from.
    pub fn origin(&self) -> Origin<'static> {
        Origin { kind: self.kind, ..Origin::client(self.id, false) }
    }

    /// Subscribes, also to what the account imports.
    ///
    /// # Errors
    /// When the subject is no subject, or the account's sublist is full.
    pub fn subscribe(
        self: &Arc<Client>,
        subject: &[u8],
        queue: Option<&[u8]>,
        tag: u64,
    ) -> Result<Interest, SublistError> {
        self.subscribe_except(subject, queue, tag, None)
    }

    /// Subscribes, but for the subjects that `refuses` says.
    ///
    /// # Errors
    /// See [`Client::subscribe`].
    pub fn subscribe_except(
        self: &Arc<Client>,
        subject: &[u8],
        queue: Option<&[u8]>,
        tag: u64,
        refuses: Option<fn(&[u8]) -> bool>,
    ) -> Result<Interest, SublistError> {
        let to = Destination::Internal(Endpoint { client: self.clone(), tag, refuses });
        let sid = tag.to_string();
        let subscription = Arc::new(Subscription::new(subject, queue, sid.as_bytes(), to));
        self.account.sublist.insert(subscription.clone())?;
        let imports = self.account.stream_imports();
        let shadows = shadows(&self.account, &subscription, &imports);
        let shadows = shadows.filter(|(exporter, shadow)| {
            // One account that is full must not take the others' messages away.
            exporter.sublist.insert(shadow.clone()).is_ok()
        });
        let shadows = shadows.map(|(_, shadow)| shadow).collect();
        Ok(Interest { subscription, shadows })
    }

    /// Ends a subscription. What is queued already still arrives.
    pub fn unsubscribe(&self, interest: Interest) {
        interest.subscription.close();
        // Both are there unless this client was told to unsubscribe twice, which it cannot be.
        let _ = self.account.sublist.remove(&interest.subscription);
        for shadow in interest.shadows {
            shadow.close();
            if let Destination::Shadow(s) = &shadow.to {
                let _ = s.import.exporter.sublist.remove(&shadow);
            }
        }
    }
}

impl Endpoint {
    /// Stages a message for the inbox. Whether it takes it.
    #[inline]
    pub(crate) fn serve(
        &self,
        stager: &mut Stager,
        subscription: &Arc<Subscription>,
        origin: &Origin<'_>,
        message: &Message<'_>,
        share: Share<'_>,
    ) -> bool {
        let client = &self.client;
        let own = !origin.echo && origin.id == client.id;
        if self.refuses.is_some_and(|refuses| refuses(message.subject)) {
            return false;
        }
        if own || subscription.is_closed() || !client.inbox.takes(origin.kind.is_connection()) {
            return false;
        }
        let batch = stager.parcel(&client.inbox);
        let Some(batch) = batch.downcast_mut::<super::Batch>() else { return false };
        batch.push(subscription, origin, message, share);
        stager.account(message.subject.len() + message.payload_crlf.len());
        true
    }
}
