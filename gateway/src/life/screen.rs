//! Fifth stage: the request-phase plugins see the prompt, and may edit it, refuse it, answer it, or send it another way.
//!
//! Apart because after it nothing of the prompt changes but by the tool loop. It must not know upstreams. It takes the stage
//! before it:
//!
//! ```
//! # use gatewright::life::{Admitted, Refused, Screened, screen};
//! async fn next(before: Admitted) -> Result<Screened, Refused> {
//!     screen(before).await
//! }
//! ```
//! ```compile_fail
//! # use gatewright::life::{Refused, Resolved, Screened, screen};
//! async fn next(before: Resolved) -> Result<Screened, Refused> {
//!     screen(before).await
//! }
//! ```

use std::sync::Arc;
use std::time::Duration;

use gatewright_plugins::{Context, Outcome, Reach, Session, Verdict};
use gatewright_types::{Channel, ChatRequest, Fault, FaultKind, Phase, Retry};

use super::admit::Admitted;
use super::authenticate::Caller;
use super::ears::of_request;
use super::guard::{Guard, fault_of, not_json};
use super::meter::Meter;
use super::refused::Refused;
use super::resolve::route_of;
use super::seat::Seat;
use super::segments::{self, Layout};
use super::sets;
use crate::host::Route;
use crate::services;

/// An answer that a plugin gave in the model's place.
#[derive(Debug)]
pub(super) struct Substitute {
    pub(super) plugin: String,
    pub(super) text: String,
}

/// A request that the plugins have seen.
#[derive(Debug)]
pub struct Screened {
    pub(super) caller: Arc<Caller>,
    pub(super) request: ChatRequest,
    pub(super) route: Arc<Route>,
    pub(super) guard: Option<Guard>,
    pub(super) substitute: Option<Substitute>,
    pub(super) reach: Reach,
    // Last, so that it is given up after the guard has told the meter.
    pub(super) seat: Seat,
    _made_here: (),
}

/// A request on its way to a model: what plugins may look at, change, and send another way.
pub(super) struct Bound {
    pub(super) caller: Arc<Caller>,
    pub(super) request: ChatRequest,
    pub(super) route: Arc<Route>,
    pub(super) meter: Arc<Meter>,
    pub(super) reach: Reach,
    /// How often plugins had the model asked again before.
    pub(super) reasks: u32,
}

impl Bound {
    /// The same request on another route: resolved anew. Its seat stays, for it is the same key's same request.
    pub(super) fn on_another_route(&mut self, model: &str) -> Result<(), Fault> {
        self.route = route_of(&self.caller, model)?;
        model.clone_into(&mut self.request.model);
        self.meter.read(|figures| {
            figures.in_flight = Some(self.route.metrics.begin());
            figures.route = Some(Arc::clone(&self.route));
        });
        Ok(())
    }
}

/// What the plugins of a request's route came to.
pub(super) type Looked = (Option<Guard>, Option<Substitute>);

/// Times that plugins may send a request to another route.
const MAX_ROUTES: usize = 3;

/// Shows the request to the plugins of its route, and of the routes that they send it to.
///
/// # Errors
/// A plugin's refusal, a plugin that failed closed, no free instance, or a strict route's refusal of what none can inspect.
pub async fn screen(admitted: Admitted) -> Result<Screened, Refused> {
    let Admitted { caller, request, route, seat, .. } = admitted;
    let meter = Arc::clone(seat.meter());
    let reach = services::reach(&caller.host, &meter);
    let mut bound = Bound { caller, request, route, meter, reach, reasks: 0 };
    match inspect(&mut bound, None).await {
        Ok((guard, substitute)) => {
            let Bound { caller, request, route, reach, .. } = bound;
            if caller.host.facts.log_prompts {
                log(&caller, &request);
            }
            Ok(Screened { caller, request, route, guard, substitute, reach, seat, _made_here: () })
        }
        Err(fault) => Err(seat.refuse(fault)),
    }
}

/// Logs what the model will be told: only where the operator asks for it, and as the plugins left it.
fn log(caller: &Caller, request: &ChatRequest) {
    let messages = serde_json::to_string(&request.messages).unwrap_or_default();
    tracing::info!(request_id = %caller.head.request_id, messages, "prompt");
}

/// Shows the request to the plugins of its route. `to` is another route that it was sent to after the plugins of the guard have
/// seen it.
///
/// # Errors
/// As [`screen`].
pub(super) async fn inspect(bound: &mut Bound, to: Option<(Option<Guard>, String)>) -> Result<Looked, Fault> {
    let mut guard = match to {
        Some((guard, model)) => match moved(bound, guard, &model).await? {
            (guard, true) => return Ok((guard, None)),
            (guard, false) => guard,
        },
        None => open(bound).await?,
    };
    for _ in 0..=MAX_ROUTES {
        let Some(guarded) = &mut guard else {
            refuse_where_strict(bound)?;
            return Ok((None, None));
        };
        let (substitute, model) = ask(guarded, bound).await?;
        let Some(model) = model.filter(|model| substitute.is_none() && *model != bound.route.name) else {
            return Ok((guard, substitute));
        };
        match moved(bound, guard.take(), &model).await? {
            (guard, true) => return Ok((guard, None)),
            (next, false) => guard = next,
        }
    }
    Err(Fault::gateway(FaultKind::Internal, "The policies of this gateway send this request from route to route."))
}

/// The request on another route, with the plugins there, and whether they are those that have seen it: another look would only send
/// it on again.
async fn moved(bound: &mut Bound, guard: Option<Guard>, model: &str) -> Result<(Option<Guard>, bool), Fault> {
    let before = Arc::clone(&bound.route);
    bound.on_another_route(model)?;
    if before.same_chain(&bound.route) {
        refuse_where_strict(bound)?;
        let mut guard = guard;
        guard.iter_mut().for_each(|guard| guard.on_another_route(&bound.route));
        return Ok((guard, true));
    }
    drop(guard);
    Ok((open(bound).await?, false))
}

/// One chain's look at the request: an answer in the model's place, and another model to ask.
async fn ask(guard: &mut Guard, bound: &mut Bound) -> Result<(Option<Substitute>, Option<String>), Fault> {
    let mut layout = lay(guard, bound)?;
    if layout.segments.is_empty() {
        return Ok((None, None));
    }
    let Outcome { verdict, cuts, sets, .. } = guard.session.inspect(Phase::Request, &mut layout.segments).await;
    if let Some(fault) = fault_of(&verdict) {
        return Err(fault);
    }
    if !cuts.is_empty() {
        let written = layout.write_back(&mut bound.request, &cuts, &guard.enforced);
        written.map_err(|wrong| not_json(&guard.session, wrong.0))?;
    }
    let model = sets::apply(&mut bound.request, sets);
    match verdict {
        Verdict::Answer { plugin, text } => Ok((Some(Substitute { plugin, text }), None)),
        _ => Ok((None, model)),
    }
}

/// The request as segments. What nobody inspects goes on the record, or is refused where the route is strict.
fn lay(guard: &Guard, bound: &Bound) -> Result<Layout, Fault> {
    let layout = segments::lay(&bound.request, &guard.ears);
    layout.unheard.iter().for_each(|word| guard.missed(word));
    refuse_where_strict(bound)?;
    Ok(layout)
}

/// Refuses a request with a part that no enforced plugin of its route can inspect, where the route is strict.
fn refuse_where_strict(bound: &Bound) -> Result<(), Fault> {
    let route = &bound.route;
    if !route.strict {
        return Ok(());
    }
    let ears = route.plugins.enforced_ears.unwrap_or_default();
    let enforced = segments::lay(&bound.request, &ears);
    let parts = [Channel::Media, Channel::Other].map(of_request);
    let Some(word) = enforced.unheard.iter().find(|word| parts.contains(word)) else { return Ok(()) };
    let message = format!("The model `{}` is strict: no policy can inspect this part of the request: {word}.", route.name);
    let kind = FaultKind::Blocked { plugin: "strict".to_owned(), code: "not_inspectable".to_owned() };
    Err(Fault::caller(kind, message))
}

/// Takes instances of the route's plugins, where it has any.
async fn open(bound: &Bound) -> Result<Option<Guard>, Fault> {
    let route = &bound.route;
    let Some(chain) = &route.plugins.chain else { return Ok(None) };
    let context = context(bound);
    let session: Session = chain.open(context).await.map_err(|busy| {
        let message = "The policies of this gateway are all at work. Try again in a moment.";
        let retry = Retry::Here(Some(Duration::from_secs(1)));
        Fault::gateway(FaultKind::Overloaded, message).retry(retry).detail(busy)
    })?;
    Ok(Some(Guard::new(session, route, Arc::clone(&bound.meter))))
}

fn context(bound: &Bound) -> Context {
    let Bound { caller, request, route, reach, reasks, .. } = bound;
    Context {
        request_id: caller.head.request_id.clone(),
        conversation: caller.head.conversation.clone(),
        tenant: caller.tenant().to_owned(),
        key: caller.name().to_owned(),
        team: caller.team().map(str::to_owned),
        route: route.name.clone(),
        model: request.model.clone(),
        parameters: parameters(request),
        reach: reach.clone(),
        reasks: *reasks,
    }
}

/// What a plugin may read of the request beside its texts: JSON.
fn parameters(request: &ChatRequest) -> String {
    let sampling = &request.sampling;
    let mut fields = serde_json::Map::new();
    let mut put = |name: &str, value: Option<serde_json::Value>| {
        if let Some(value) = value {
            fields.insert(name.to_owned(), value);
        }
    };
    put("stream", Some(request.stream.into()));
    put("max_tokens", sampling.max_tokens.map(Into::into));
    put("temperature", sampling.temperature.map(Into::into));
    put("top_p", sampling.top_p.map(Into::into));
    put("seed", sampling.seed.map(Into::into));
    put("n", sampling.n.map(Into::into));
    put("stop", (!sampling.stop.is_empty()).then(|| sampling.stop.clone().into()));
    put("response_format", request.response_format.as_ref().and_then(|format| serde_json::from_str(format.get()).ok()));
    put("metadata", request.extras.get("metadata").and_then(|json| serde_json::from_str(json).ok()));
    serde_json::Value::Object(fields).to_string()
}
