//! Which request gets which document (spec 04 §2).

use super::connz::{ConnzOptions, connz};
use super::healthz::{HealthzOptions, healthz};
use super::jsz::{Asked, JszOptions, jsz};
use super::request::{Query, Request, Resolution, normalize_base_path};
use super::response::{Response, Status};
use super::subsz::{SubszOptions, subsz};
use super::{Counted, accountz, accstatz, debug, links, metrics, parameters, queues, root, varz};
use crate::json;
use crate::server::Server;
use parser::quote::quoted;
use serde::Serialize;

/// Answers a request.
pub fn answer(server: &Server, request: &Request) -> Response {
    let base_path = normalize_base_path(&server.options().http_base_path);
    let endpoint = match request.resolve(&base_path) {
        Resolution::Endpoint(endpoint) => endpoint,
        Resolution::Answer(response) => return response,
    };
    let result = document(server, &endpoint, &request.query, &base_path);
    result.unwrap_or_else(|text| Response::error(Status::BadRequest, &text))
}

/// The answer of an endpoint, or the text of a 400.
fn document(
    server: &Server,
    endpoint: &str,
    query: &Query,
    base_path: &str,
) -> Result<Response, String> {
    let count = |endpoint| server.monitor.count(endpoint);
    match endpoint {
        "/" => {
            count(Counted::Root);
            Ok(Response::html(root::page(&server.info(), base_path)))
        }
        "/varz" => {
            count(Counted::Varz);
            Ok(indented(&varz::varz(server)))
        }
        "/connz" => {
            // This one and the routes count when the parameters are good.
            let options = ConnzOptions::from_query(query)?;
            count(Counted::Connz);
            Ok(indented(&connz(server, &options)?))
        }
        "/routez" => {
            parameters::subscriptions(query)?;
            count(Counted::Routez);
            Ok(indented(&links::routez(server)))
        }
        "/gatewayz" => {
            count(Counted::Gatewayz);
            parameters::subscriptions(query)?;
            parameters::bool(query, "accs")?;
            Ok(indented(&links::gatewayz(server)))
        }
        "/leafz" => {
            count(Counted::Leafz);
            parameters::bool(query, "subs")?;
            Ok(indented(&links::leafz(server)))
        }
        "/subsz" | "/subscriptionsz" => {
            count(Counted::Subsz);
            Ok(indented(&subsz(server, &SubszOptions::from_query(query)?)?))
        }
        "/accountz" => {
            count(Counted::Accountz);
            Ok(indented(&accountz::accountz(server, query.get("acc"))?))
        }
        "/accstatz" => {
            count(Counted::Accstatz);
            Ok(indented(&accstatz::accstatz(server, parameters::bool(query, "unused")?)))
        }
        "/jsz" => {
            count(Counted::Jsz);
            Ok(indented(&jsz(server, &jsz_options(query)?)?))
        }
        "/healthz" => {
            count(Counted::Healthz);
            health(server, query)
        }
        "/ipqueuesz" => {
            let all = parameters::bool(query, "all")?;
            let queues = queues::queues(server, all, query.get("queues"), false);
            let body = json::to_vec_indented(&queues, "   ").unwrap_or_default();
            Ok(Response::json(Status::Ok, body))
        }
        "/raftz" => Ok(Response::error(Status::NotFound, "No Raft nodes registered")),
        "/metrics" => Ok(Response::metrics(metrics::metrics(server, query)?)),
        "/stacksz" => Ok(Response::json(Status::Ok, debug::stacks())),
        "/debug/vars" => Ok(Response::variables(debug::vars())),
        // The root serves whatever is below it and not found.
        _ => Ok(Response::not_found()),
    }
}

fn indented(document: &impl Serialize) -> Response {
    // Plain structures in memory always serialise.
    Response::json(Status::Ok, json::to_vec_indented(document, "  ").unwrap_or_default())
}

fn jsz_options(query: &Query) -> Result<JszOptions, String> {
    let accounts = parameters::bool(query, "accounts")?;
    let streams = parameters::bool(query, "streams")?;
    let consumers = parameters::bool(query, "consumers")?;
    let direct_consumers = parameters::bool(query, "direct-consumers")?;
    let config = parameters::bool(query, "config")?;
    let offset = parameters::int(query, "offset")?;
    let limit = parameters::int(query, "limit")?;
    let account = query.get("acc").to_owned();
    let leader_only = parameters::bool(query, "leader-only")?;
    for name in ["raft", "stream-leader-only"] {
        parameters::bool(query, name)?;
    }
    let asked =
        Asked { account, accounts, streams, consumers, direct_consumers, config, offset, limit };
    Ok(JszOptions { leader_only, wanted: asked.into() })
}

fn health(server: &Server, query: &Query) -> Result<Response, String> {
    let js_enabled = parameters::bool(query, "js-enabled")?;
    if js_enabled {
        server
            .log
            .warnf(format_args!("Healthcheck: js-enabled deprecated, use js-enabled-only instead"));
    }
    let options = HealthzOptions {
        js_enabled_only: parameters::bool(query, "js-enabled-only")? || js_enabled,
        js_server_only: parameters::bool(query, "js-server-only")?,
        js_meta_only: parameters::bool(query, "js-meta-only")?,
        details: parameters::bool(query, "details")?,
        account: query.get("account").to_owned(),
        stream: query.get("stream").to_owned(),
        consumer: query.get("consumer").to_owned(),
    };
    let (status, document) = healthz(server, &options);
    if !document.error.is_empty() {
        server.log.warnf(format_args!("Healthcheck failed: {}", quoted(&document.error)));
    } else if !document.errors.is_empty() {
        server.log.warnf(format_args!("Healthcheck failed: {} errors", document.errors.len()));
    }
    Ok(Response::json(status, json::to_vec(&document).unwrap_or_default()))
}
