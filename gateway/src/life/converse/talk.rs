//! One conversation with a model: rounds of asking and listening, as a stream of chunks that may be sent.
//!
//! Apart because it is the state that the other files of this folder work on. It must not know seats or HTTP.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt;
use gatewright_plugins::{Reach, Verdict};
use gatewright_types::{ChatRequest, Chunk, Completion, Delta, Fault, FinishReason, Phase, Usage};

use super::Manner;
use super::again::Wish;
use super::calls::Calls;
use super::whole::Whole;
use crate::host::Route;
use crate::life::authenticate::Caller;
use crate::life::guard::{CallsCome, Guard, fault_of};
use crate::life::leave::Leave;
use crate::life::meter::{Ending, Meter, has_content};
use crate::life::recall::Listener;
use crate::life::screen::Substitute;
use crate::upstreams::Deltas;

/// What a talk is made of.
pub(super) struct Parts {
    pub(super) caller: Arc<Caller>,
    pub(super) request: ChatRequest,
    pub(super) route: Arc<Route>,
    pub(super) leave: Leave,
    pub(super) guard: Option<Guard>,
    pub(super) substitute: Option<Substitute>,
    pub(super) reach: Reach,
    pub(super) meter: Arc<Meter>,
    pub(super) manner: Manner,
}

/// What is done next.
pub(super) enum Stage {
    /// A model is asked.
    Ask,
    /// It answers.
    Listen(Deltas),
    /// Nothing more comes.
    Done,
}

/// What plugins of the `response` phase get.
pub(super) enum Attention {
    /// Nothing: there are none.
    None,
    /// The whole answer before anything of it is sent.
    Hold(Whole),
    /// The whole answer after it was sent, all but how it ends: that may still become a refusal.
    Along(Whole),
    /// The whole answer, for shadows alone: the client does not wait for them, and past the limit they do without.
    Overhear(Whole),
}

/// A conversation under way.
pub(super) struct Talk {
    pub(super) caller: Arc<Caller>,
    pub(super) route: Arc<Route>,
    /// How far the request may go: it only ever becomes less.
    pub(super) leave: Leave,
    /// As the model is asked; grows by the rounds of the tool loop.
    pub(super) request: Arc<ChatRequest>,
    pub(super) guard: Option<Guard>,
    pub(super) meter: Arc<Meter>,
    pub(super) manner: Manner,
    pub(super) stage: Stage,
    /// Chunks that may be sent.
    pub(super) out: VecDeque<Chunk>,
    /// Whether the client has seen some of the answer.
    pub(super) spoken: bool,
    pub(super) attention: Attention,
    /// Calls whose arguments are still coming, where someone must see them whole.
    pub(super) calls: Option<Calls>,
    /// The gateway's own tools, where they are offered.
    pub(super) tools: Option<super::tools::Loop>,
    /// Whether chunks need no look at all but the meter's.
    pub(super) plain: bool,
    /// Who keeps what is thought before calls, where some upstream demands it back.
    pub(super) listener: Option<Listener>,
    /// Whether who answers speaks the client's dialect.
    pub(super) own: bool,
    /// Whether thought was kept from the client.
    pub(super) hid: bool,
    /// Choices that were begun and not finished.
    pub(super) open: Vec<u32>,
    pub(super) deadline: Instant,
    /// The way outside of this request's plugins.
    pub(super) reach: Reach,
    /// Whether the client has got any chunk of the answer, if only its id.
    pub(super) begun: bool,
    pub(super) again: Again,
    pub(super) asked: Asked,
}

/// What the client asked for, as conditions see it in every round: the request has the first leg's name, and tools of the gateway's.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) model: String,
    /// So many tools, and then come ours.
    pub(super) tools: usize,
}

/// What follows from a plugin's having had the model asked again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Again {
    /// It was: the client gets one bill for all.
    pub(super) asked: bool,
    /// The client knew an id of the answer then.
    pub(super) begun: bool,
}

/// How an answer is asked for and heard, by its route, its request and its plugins.
pub(super) struct Setting {
    request: ChatRequest,
    asked: Asked,
    attention: Attention,
    calls: Option<Calls>,
    tools: Option<super::tools::Loop>,
    plain: bool,
    deadline: Instant,
}

impl Setting {
    /// `way` is the route, and which of its legs may be asked.
    pub(super) fn of(way: (&Route, &Leave), mut request: ChatRequest, mut guard: Option<&mut Guard>, manner: Manner) -> Self {
        let (route, leave) = way;
        // Usage is always asked for, so that the meter is exact; a client that did not ask does not get to see it.
        request.include_usage = request.stream;
        let asked = Asked { model: request.model.clone(), tools: request.tools.len() };
        if let Some(leg) = leave.may(route).ok().and_then(|legs| legs.legs.first()) {
            // The first leg finds its own name there, and need not copy the request to write it.
            request.model.clone_from(&leg.model);
        }
        let tools = super::tools::Loop::offer(route, guard.as_deref(), &mut request);
        let attention = attention(guard.as_deref(), manner);
        // Shadows hear calls in pieces where nobody else wants them whole: the client does not wait for them.
        let enforced = guard.as_ref().map(|guard| guard.enforced).unwrap_or_default();
        let holds_calls = tools.is_some() || enforced.hears(Phase::Chunk, gatewright_types::Channel::ToolArgs);
        if let Some(guard) = &mut guard {
            guard.calls_come(if holds_calls { CallsCome::Whole } else { CallsCome::InPieces });
            guard.publish();
        }
        let limit = tools.as_ref().map_or(route.max_time, |tools| tools.fact.max_time.min(route.max_time));
        let plain = guard.is_none() && tools.is_none();
        Self { request, asked, attention, calls: holds_calls.then(Calls::default), tools, plain, deadline: Instant::now() + limit }
    }
}

impl Talk {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts { caller, request, route, leave, mut guard, substitute, reach, meter, manner } = parts;
        let Setting { request, asked, attention, calls, tools, plain, deadline } =
            Setting::of((&route, &leave), request, guard.as_mut(), manner);
        let listener = caller.host.recalls.then(Listener::default);
        let mut talk = Self {
            plain,
            deadline,
            caller,
            route,
            leave,
            request: Arc::new(request),
            guard,
            meter,
            manner,
            stage: Stage::Ask,
            out: VecDeque::new(),
            spoken: false,
            attention,
            calls,
            tools,
            listener,
            own: false,
            hid: false,
            open: Vec::new(),
            reach,
            begun: false,
            again: Again::default(),
            asked,
        };
        if let Some(Substitute { plugin, text }) = substitute {
            talk.substitute(plugin, text);
        }
        talk
    }

    /// Takes another setting, after an answer was dropped.
    pub(super) fn set(&mut self, setting: Setting) {
        let Setting { request, asked, attention, calls, tools, deadline, .. } = setting;
        (self.request, self.asked) = (Arc::new(request), asked);
        (self.attention, self.calls, self.tools, self.deadline) = (attention, calls, tools, deadline);
        // What was asked before is on the bill.
        self.plain = false;
    }

    /// The next chunk that may be sent.
    pub(super) async fn next(&mut self) -> Option<Result<Chunk, Fault>> {
        loop {
            if self.may_send()
                && let Some(chunk) = self.out.pop_front()
            {
                self.begun = true;
                if !self.spoken && has_content(&chunk) {
                    self.speaks();
                }
                return Some(Ok(chunk));
            }
            let began = Instant::now();
            let step = match &mut self.stage {
                Stage::Ask => {
                    let asked = self.ask().await;
                    self.meter.waited(began.elapsed());
                    asked
                }
                Stage::Listen(deltas) => {
                    let heard = deltas.next().await;
                    self.meter.waited(began.elapsed());
                    match heard {
                        Some(Ok(chunk)) => self.hear(chunk).await,
                        Some(Err(fault)) => Err(fault),
                        None => self.over().await,
                    }
                }
                Stage::Done => return None,
            };
            if let Err(fault) = step {
                self.stage = Stage::Done;
                self.out.clear();
                self.meter.round_fails(&self.request);
                return Some(Err(fault));
            }
        }
    }

    /// Whether what is ready goes out now. A whole answer waits for its end: until then a plugin may put another in its place.
    fn may_send(&self) -> bool {
        self.plain || matches!(self.manner, Manner::Stream { .. }) || matches!(self.stage, Stage::Done)
    }

    /// Whether an answer is being heard.
    pub(super) fn listens(&self) -> bool {
        matches!(self.stage, Stage::Listen(_))
    }

    /// Something goes out: from now on there is no other status.
    fn speaks(&mut self) {
        self.spoken = matches!(self.manner, Manner::Stream { .. });
        if let Some(guard) = &mut self.guard {
            guard.publish();
            if self.spoken {
                guard.session.spoke();
            }
        }
    }

    /// Nothing more is heard: the upstream call is dropped.
    pub(super) fn end(&mut self) {
        self.stage = Stage::Done;
        self.meter.round_ends(&self.request);
    }

    /// Ends the answer as a verdict wants it. `Pass` does nothing.
    ///
    /// # Errors
    /// The fault that the verdict is while nothing was sent, or when a plugin failed.
    pub(super) async fn stop(&mut self, verdict: Verdict) -> Result<(), Fault> {
        let fault = fault_of(&verdict);
        match (verdict, fault) {
            (Verdict::Pass, _) => Ok(()),
            (Verdict::Reask { plugin, route, instruction }, _) => self.again(Wish { plugin, route, instruction }).await,
            (Verdict::Answer { plugin, text }, _) if !self.spoken => {
                self.end();
                self.out.clear();
                self.unhear();
                self.substitute(plugin, text);
                Ok(())
            }
            (Verdict::Answer { .. }, _) => {
                self.cut();
                Ok(())
            }
            (Verdict::Block { .. }, Some(_)) if self.spoken => {
                self.cut();
                Ok(())
            }
            (_, Some(fault)) => {
                self.out.clear();
                Err(fault)
            }
            (_, None) => Ok(()),
        }
    }

    /// Ends every open choice by the filter, in the middle of the answer.
    fn cut(&mut self) {
        self.end();
        self.attention = Attention::None;
        self.meter.read(|figures| figures.ending = Ending::Blocked);
        if self.open.is_empty() {
            self.open.push(0);
        }
        let finish = |choice| Delta::Finish { choice, reason: FinishReason::ContentFilter };
        self.out.push_back(Chunk::of(self.open.drain(..).map(finish).collect()));
        let usage = self.meter.read(|figures| figures.usage.clone());
        self.out.push_back(Chunk::of(vec![Delta::Usage(usage)]));
    }

    /// Forgets what was thought so far: it goes to nobody.
    pub(super) fn unhear(&mut self) {
        self.listener.iter_mut().for_each(|listener| *listener = Listener::default());
    }

    /// Gives a plugin's answer in the model's place.
    pub(super) fn substitute(&mut self, plugin: String, text: String) {
        self.stage = Stage::Done;
        self.attention = Attention::None;
        self.meter.read(|figures| {
            figures.ending = Ending::Plugin;
            figures.answered_by = Some(plugin);
        });
        // The door names what has no name, each dialect in its way.
        let (id, created) = (String::new(), self.caller.at_ms / 1000);
        let start = Delta::Start { id, model: self.route.name.clone(), created };
        let said = Delta::Text { choice: 0, text };
        let finish = Delta::Finish { choice: 0, reason: FinishReason::Stop };
        self.out.push_back(Chunk::of(vec![start, said, finish, Delta::Usage(Usage::default())]));
    }

    /// What was said so far in this round, where the tool loop needs it.
    pub(super) fn said(&mut self) -> Option<&mut Completion> {
        self.tools.as_mut().map(|tools| &mut tools.said)
    }
}

fn attention(guard: Option<&Guard>, manner: Manner) -> Attention {
    let Some(guard) = guard.filter(|guard| guard.ears.any(Phase::Response)) else { return Attention::None };
    match manner {
        _ if !guard.enforced.any(Phase::Response) => Attention::Overhear(Whole::default()),
        Manner::Stream { .. } if !guard.enforced.wants_whole => Attention::Along(Whole::default()),
        Manner::Stream { .. } | Manner::Whole => Attention::Hold(Whole::default()),
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        // A client that hangs up ends the round here.
        self.meter.round_ends(&self.request);
    }
}
