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
use std::time::{Duration, Instant};

use gatewright_plugins::{Context, Outcome, Reach, Session, Verdict};
use gatewright_types::{Channel, ChatRequest, Fault, FaultKind, Phase, Retry};

use super::admit::Admitted;
use super::authenticate::Caller;
use super::ears::of_request;
use super::guard::{Guard, Order, fault_of, not_json};
use super::leave::{self, Bounds, Leave, MAX_ROUTES};
use super::meter::Meter;
use super::parameters;
use super::refused::Refused;
use super::resolve::route_of;
use super::seat::Seat;
use super::segments::{self, Layout};
use super::sets;
use crate::dialects::texts;
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
    pub(super) leave: Leave,
    pub(super) guard: Option<Guard>,
    pub(super) substitute: Option<Substitute>,
    pub(super) reach: Reach,
    // Last, so that it is given up after the guard has told the meter.
    pub(super) seat: Seat,
    _made_here: (),
}

impl Screened {
    /// Who asks.
    pub(crate) fn caller(&self) -> &Arc<Caller> {
        &self.caller
    }

    /// What is asked.
    pub(crate) fn request(&self) -> &ChatRequest {
        &self.request
    }

    /// The seat, for what the headers say.
    pub(crate) fn seat(&self) -> &Seat {
        &self.seat
    }

    /// Nobody is asked for an answer after all.
    pub(crate) fn refused(self, fault: Fault) -> Refused {
        let Self { seat, guard, .. } = self;
        drop(guard);
        seat.refuse(fault)
    }
}

/// A request on its way to a model: what plugins may look at, change, and send another way.
pub(super) struct Bound {
    pub(super) caller: Arc<Caller>,
    pub(super) request: ChatRequest,
    pub(super) route: Arc<Route>,
    pub(super) leave: Leave,
    pub(super) meter: Arc<Meter>,
    pub(super) reach: Reach,
    /// How often plugins had the model asked again before.
    pub(super) reasks: u32,
}

impl Bound {
    /// The same request on the route of another name, that a plugin asks for: the key must be allowed to.
    fn asks_for(&mut self, model: &str) -> Result<(), Fault> {
        let route = route_of(&self.caller, model)?;
        self.takes(route, model);
        Ok(())
    }

    /// The same, where a rule of the operator sends it: the key is not asked.
    fn is_sent_to(&mut self, model: &str) -> Result<(), Fault> {
        let route = self.caller.host.route(self.caller.key.as_deref(), model).ok_or_else(|| {
            let detail = format!("a rule of the route `{}` leads to `{model}`, which is not there", self.route.name);
            Fault::gateway(FaultKind::Internal, "A rule of this gateway leads nowhere.").detail(detail)
        })?;
        self.takes(route, model);
        Ok(())
    }

    /// The seat stays, for it is the same key's same request; and what may not leave stays so.
    fn takes(&mut self, route: Arc<Route>, model: &str) {
        self.leave.on(&route);
        self.meter.read(|figures| {
            figures.in_flight = Some(route.metrics.begin());
            figures.route = Some(Arc::clone(&route));
        });
        self.kept_here();
        self.route = route;
        model.clone_into(&mut self.request.model);
    }

    /// Lends the request to those who judge how far its plugins' own questions may go, while the plugins look at it.
    fn lend(&mut self) -> Arc<ChatRequest> {
        let request = Arc::new(std::mem::take(&mut self.request));
        if !self.route.rules.is_empty() {
            let (leave, route, request) = (self.leave.clone(), Arc::clone(&self.route), Arc::clone(&request));
            self.meter.read(|figures| figures.bounds = Some(Arc::new(Bounds { leave, route, request, asked: None })));
        }
        request
    }

    /// Takes it back: nobody else holds it by now.
    fn take_back(&mut self, request: Arc<ChatRequest>) {
        self.meter.read(|figures| figures.bounds = None);
        self.request = Arc::unwrap_or_clone(request);
    }

    /// Puts on the record why the request may not leave.
    fn kept_here(&self) {
        self.meter.read(|figures| figures.kept_here = self.leave.why().cloned());
    }
}

/// What the plugins of a request's route came to.
pub(super) type Looked = (Option<Guard>, Option<Substitute>);

/// Shows the request to the plugins of its route, and of the routes that they send it to.
///
/// # Errors
/// A plugin's refusal, a plugin that failed closed, no free instance, or a strict route's refusal of what none can inspect.
pub async fn screen(admitted: Admitted) -> Result<Screened, Refused> {
    let Admitted { caller, mut request, route, leave, seat, .. } = admitted;
    let meter = Arc::clone(seat.meter());
    if caller.host.recalls {
        let found = caller.host.shared.thoughts.put_back(caller.tenant(), &mut request, Instant::now());
        meter.read(|figures| figures.recalled = found);
    }
    let reach = services::reach(&caller, &meter);
    let mut bound = Bound { caller, request, route, leave, meter, reach, reasks: 0 };
    bound.kept_here();
    match inspect(&mut bound, None).await {
        Ok((guard, substitute)) => {
            let Bound { caller, request, route, leave, reach, .. } = bound;
            if caller.host.facts.log_prompts {
                log(&caller, &request);
            }
            Ok(Screened { caller, request, route, leave, guard, substitute, reach, seat, _made_here: () })
        }
        Err(fault) => Err(seat.refuse(fault)),
    }
}

/// Logs what the model will be told: only where the operator asks for it, and as the plugins left it.
fn log(caller: &Caller, request: &ChatRequest) {
    let messages = serde_json::to_string(&request.messages).unwrap_or_default();
    tracing::info!(request_id = %caller.head.request_id, messages, "prompt");
}

/// Shows the request to the plugins of its route, and of those that it is sent to. `to` is a route that a plugin wants it sent to
/// after the plugins of the guard have seen it.
///
/// # Errors
/// As [`screen`].
pub(super) async fn inspect(bound: &mut Bound, to: Option<(Option<Guard>, String)>) -> Result<Looked, Fault> {
    let mut notes = Vec::new();
    let (mut guard, mut way) = match to {
        Some((guard, model)) => (guard, (None, Some(model))),
        None => {
            let mut guard = open(bound, Vec::new()).await?;
            let way = ask(guard.as_mut(), bound).await?;
            (guard, way)
        }
    };
    for _ in 0..=MAX_ROUTES {
        if way.0.is_some() {
            return Ok((guard, way.0));
        }
        let noted = guard.as_ref().map_or(&*notes, |guard| guard.session.notes());
        let Some(next) = next(bound, noted, way.1.take())? else { return Ok((guard, None)) };
        let before = Arc::clone(&bound.route);
        match next {
            Next::Rule(to) => bound.is_sent_to(&to)?,
            Next::Plugin(model) => bound.asks_for(&model)?,
        }
        match &mut guard {
            // These plugins have seen the request: another look would only send it on again. The rules are others.
            Some(guarded) if before.same_chain(&bound.route) => {
                guarded.on_another_route(&bound.route);
                refuse_where_strict(bound, guard.as_ref())?;
            }
            _ => {
                notes = guard.take().map_or(notes, |guard| guard.session.notes().to_vec());
                guard = open(bound, notes.clone()).await?;
                way = ask(guard.as_mut(), bound).await?;
            }
        }
    }
    Err(Fault::gateway(FaultKind::Internal, "The policies of this gateway send this request from route to route."))
}

/// Who sends a request on, and where.
enum Next {
    Rule(String),
    Plugin(String),
}

/// Where a request goes after its plugins have seen it: a rule of the operator counts more than a plugin's `set /model`.
///
/// # Errors
/// A rule that can be said neither to hold nor not to.
fn next(bound: &mut Bound, notes: &[(String, String)], model: Option<String>) -> Result<Option<Next>, Fault> {
    let route = Arc::clone(&bound.route);
    let seen = leave::seen(&bound.caller, (&bound.request, &route), notes);
    let rule = bound.leave.heed(&route, &seen)?.filter(|to| *to != route.name);
    bound.kept_here();
    let model = || model.filter(|model| *model != route.name).map(Next::Plugin);
    Ok(rule.map(|to| Next::Rule(to.to_owned())).or_else(model))
}

/// One chain's look at the request: an answer in the model's place, and another model to ask.
async fn ask(guard: Option<&mut Guard>, bound: &mut Bound) -> Result<(Option<Substitute>, Option<String>), Fault> {
    let layout = guard.as_deref().map(|guard| lay(guard, bound));
    refuse_where_strict(bound, guard.as_deref())?;
    let (Some(guard), Some(mut layout)) = (guard, layout) else { return Ok((None, None)) };
    if layout.segments.is_empty() {
        return Ok((None, None));
    }
    let request = bound.lend();
    let Outcome { verdict, cuts, sets, .. } = guard.session.inspect(Phase::Request, &mut layout.segments).await;
    bound.take_back(request);
    if let Some(fault) = fault_of(&verdict) {
        return Err(fault);
    }
    if !cuts.is_empty() {
        let written = layout.write_back(&mut bound.request, &cuts, &guard.enforced);
        written.map_err(|wrong| not_json(&guard.session, wrong.0))?;
    }
    let model = sets::apply(&mut bound.request, sets);
    match verdict {
        Verdict::Answer { plugin, .. } if !bound.caller.head.dialect.answers_in_text() => {
            let message = format!("The policy `{plugin}` answers in the model's place, and what was asked for is no text.");
            let kind = FaultKind::Blocked { plugin, code: "answered".to_owned() };
            Err(Fault::gateway(kind, message))
        }
        Verdict::Answer { plugin, text } => Ok((Some(Substitute { plugin, text }), None)),
        _ => Ok((None, model)),
    }
}

/// The request as segments. What nobody inspects goes on the record.
fn lay(guard: &Guard, bound: &Bound) -> Layout {
    let layout = segments::lay(&bound.request, &guard.ears);
    layout.unheard.iter().for_each(|word| guard.missed(word));
    layout
}

/// Refuses a request with a part that no enforced plugin that takes part in it can inspect, where the route is strict. Where texts are
/// asked with, tokens would be a way around those who inspect texts: they are refused as on a strict route.
fn refuse_where_strict(bound: &Bound, guard: Option<&Guard>) -> Result<(), Fault> {
    let route = &bound.route;
    let ears = guard.map(|guard| guard.enforced).unwrap_or_default();
    let parts = match route.strict {
        true => &[Channel::Media, Channel::Other][..],
        false if !bound.request.wants.is_empty() && ears.hears(Phase::Request, Channel::User) => &[Channel::Media],
        false => return Ok(()),
    };
    if !bound.request.wants.is_empty() && ears.hears(Phase::Request, Channel::User) && texts::has_tokens(&bound.request) {
        // Whoever listens to media is shown them too, and cannot read them either.
        return Err(uninspected("Policies inspect texts here, and cannot read tokens: send the text itself.".to_owned()));
    }
    let enforced = segments::lay(&bound.request, &ears);
    let is_wanted = |word: &&&str| parts.iter().any(|channel| of_request(*channel) == **word);
    let Some(word) = enforced.unheard.iter().find(is_wanted) else { return Ok(()) };
    let message = match route.strict {
        true => format!("The model `{}` is strict: no policy can inspect this part of the request: {word}.", route.name),
        false => format!("A policy inspects texts here, and can inspect none in this part of the request: {word}."),
    };
    Err(uninspected(message))
}

fn uninspected(message: String) -> Fault {
    let kind = FaultKind::Blocked { plugin: "strict".to_owned(), code: "not_inspectable".to_owned() };
    Fault::caller(kind, message)
}

/// Takes instances of the route's plugins, where it has any.
async fn open(bound: &Bound, notes: Vec<(String, String)>) -> Result<Option<Guard>, Fault> {
    let route = &bound.route;
    let Some(chain) = &route.plugins.chain else { return Ok(None) };
    let context = context(bound);
    let session: Session = chain.open_after(context, notes).await.map_err(|busy| {
        let message = "The policies of this gateway are all at work. Try again in a moment.";
        let retry = Retry::Here(Some(Duration::from_secs(1)));
        Fault::gateway(FaultKind::Overloaded, message).retry(retry).detail(busy)
    })?;
    let dialect = bound.caller.head.dialect;
    let order = if dialect.has_blocks() { Order::Blocks(dialect.name()) } else { Order::Channels };
    Ok(Some(Guard::new(session, (route, order), Arc::clone(&bound.meter))))
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
        parameters: parameters::of(request),
        reach: reach.clone(),
        reasks: *reasks,
    }
}
