//! Numbers for Prometheus. Names are part of the contract; labels are few and never from outside.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

use super::end::End;

/// Every number. Cheap to clone; clones share them.
#[derive(Clone)]
pub struct Metrics(Arc<Numbers>);

struct Numbers {
    requests: Family<Answered, Counter>,
    open_exchanges: Gauge,
    exchange_seconds: Histogram,
    sign_ins: Family<SignInResult, Counter>,
    setup_links_refused: Counter,
    management_calls: Family<CallResult, Counter>,
    heads_refused: Family<Cause, Counter>,
    tokens_end_soon: Gauge,
    revocation_seconds: Family<Reached, Histogram, fn() -> Histogram>,
    store_seconds: Histogram,
    upstream_errors: Family<Upstream, Counter>,
    broken_answers: Family<BrokenAnswer, Counter>,
    cut: Family<Cause, Counter>,
    panics: Counter,
    lines_dropped: Counter,
    registry: Mutex<Registry>,
    looked_up: Mutex<Vec<Look>>,
}

/// Looks a number up, and writes it where it is read.
type Look = Box<dyn Fn() + Send + Sync>;

/// Counts what one panel answers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Answers(Arc<[Counter; CLASSES.len()]>);

/// The classes of status codes (RFC 9110 §15).
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The place of a status among them; what no standard knows is a failure.
fn class(status: StatusCode) -> usize {
    usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1
}

impl Answers {
    pub(super) fn count(&self, status: StatusCode) {
        if let Some(answers) = self.0.get(class(status)) {
            answers.inc();
        }
    }
}

/// How a step of a sign-in ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum SignIn {
    SignedIn,
    HalfWay,
    Refused,
    WrongCode,
    Throttled,
    Busy,
    Failed,
}

/// How a call of the management API ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Call {
    Done,
    /// Nothing says who calls.
    NoToken,
    /// It was never given out, was removed or has expired.
    WrongToken,
    /// There were too many wrong ones from this address.
    Limited,
    /// The token, or the user at the socket, may not do this.
    NotAllowed,
    /// It can't be done as it was asked for.
    Refused,
    /// The gateway or its store failed.
    Failed,
}

/// How far a revocation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Step {
    /// It is on disk.
    Committed,
    /// The last byte of the last connection has gone.
    LastByte,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    verdict: &'static str,
    /// Empty where no panel was asked.
    panel: String,
    /// `2xx` and so on.
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BrokenAnswer {
    panel: String,
    cause: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SignInResult {
    result: SignIn,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallResult {
    result: Call,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Cause {
    cause: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reached {
    step: Step,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Upstream {
    panel: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPanel {
    panel: String,
}

/// From a fast answer to a slow one, in seconds.
const SECONDS: [f64; 10] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

impl Default for Metrics {
    fn default() -> Self {
        let seconds = || Histogram::new(SECONDS);
        let numbers = Numbers {
            requests: Family::default(),
            open_exchanges: Gauge::default(),
            exchange_seconds: seconds(),
            sign_ins: Family::default(),
            setup_links_refused: Counter::default(),
            management_calls: Family::default(),
            heads_refused: Family::default(),
            tokens_end_soon: Gauge::default(),
            revocation_seconds: Family::new_with_constructor(seconds),
            store_seconds: seconds(),
            upstream_errors: Family::default(),
            broken_answers: Family::default(),
            cut: Family::default(),
            panics: Counter::default(),
            lines_dropped: Counter::default(),
            registry: Mutex::default(),
            looked_up: Mutex::default(),
        };
        numbers.register();
        let tokens = numbers.tokens_end_soon.clone();
        let metrics = Self(Arc::new(numbers));
        let help = "Management tokens that end within two weeks";
        metrics.registered("management_tokens_ending", help, tokens);
        metrics
    }
}

impl Numbers {
    fn register(&self) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let registry = registry.sub_registry_with_prefix("portcullis");
        let clone = |number: &Counter| number.clone();
        registry.register("requests", "Answered requests", self.requests.clone());
        registry.register(
            "open_exchanges",
            "Requests with their answers, and tunnels, in flight",
            self.open_exchanges.clone(),
        );
        registry.register(
            "exchange_seconds",
            "From a request to the last byte of its answer or tunnel",
            self.exchange_seconds.clone(),
        );
        registry.register(
            "sign_ins",
            "Steps of sign-ins by how they ended",
            self.sign_ins.clone(),
        );
        registry.register(
            "setup_links_refused",
            "Set-up links that are none, or none any more",
            clone(&self.setup_links_refused),
        );
        registry.register(
            "management_calls",
            "Calls of the management API by how they ended",
            self.management_calls.clone(),
        );
        registry.register(
            "heads_refused",
            "Request heads that were refused before they became requests, by what was wrong",
            self.heads_refused.clone(),
        );
        registry.register(
            "revocation_seconds",
            "From the call to the commit, and to the end of the last connection",
            self.revocation_seconds.clone(),
        );
        registry.register(
            "store_seconds",
            "A change of the store, from asking for it to the commit",
            self.store_seconds.clone(),
        );
        self.register_faults_of_panels(registry);
        registry.register(
            "panics",
            "Faults of the gateway itself",
            clone(&self.panics),
        );
        registry.register(
            "log_lines_dropped",
            "Lines of the access log that could not be written in time",
            clone(&self.lines_dropped),
        );
    }

    fn register_faults_of_panels(&self, registry: &mut Registry) {
        registry.register(
            "upstream_errors",
            "Requests that a panel did not answer",
            self.upstream_errors.clone(),
        );
        registry.register(
            "broken_answers",
            "Answers and WebSockets that a panel broke off after their head",
            self.broken_answers.clone(),
        );
        registry.register(
            "exchanges_cut",
            "Requests, answers and WebSockets that the gateway broke off, by the reason",
            self.cut.clone(),
        );
    }
}

impl Metrics {
    /// So many management tokens end within two weeks.
    pub fn tokens_end_soon(&self, count: usize) {
        self.0.tokens_end_soon.set(number(count));
    }

    /// Adds a number that is looked up when it is asked for.
    pub fn watch(
        &self,
        name: &'static str,
        help: &'static str,
        look: impl Fn() -> usize + Send + Sync + 'static,
    ) {
        let gauge = Gauge::<i64>::default();
        self.registered(name, help, gauge.clone());
        self.looked_up(move || {
            gauge.set(number(look()));
        });
    }

    /// Adds a number that only grows, and is looked up when it is asked for.
    pub fn watch_count(
        &self,
        name: &'static str,
        help: &'static str,
        look: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        let counter = Counter::<u64>::default();
        self.registered(name, help, counter.clone());
        self.looked_up(move || {
            counter.inner().store(look(), Ordering::Relaxed);
        });
    }

    /// Adds a number of each panel, which are looked up when they are asked for.
    pub fn watch_panels(
        &self,
        name: &'static str,
        help: &'static str,
        look: impl Fn() -> Vec<(String, usize)> + Send + Sync + 'static,
    ) {
        let gauges = Family::<OfPanel, Gauge>::default();
        self.registered(name, help, gauges.clone());
        self.looked_up(move || {
            // A panel that is configured no more is told of no more.
            gauges.clear();
            for (panel, found) in look() {
                gauges.get_or_create(&OfPanel { panel }).set(number(found));
            }
        });
    }

    fn registered(&self, name: &'static str, help: &'static str, metric: impl Metric) {
        let mut registry = self
            .0
            .registry
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let registry = registry.sub_registry_with_prefix("portcullis");
        registry.register(name, help, metric);
    }

    fn looked_up(&self, look: impl Fn() + Send + Sync + 'static) {
        let looked_up = self.0.looked_up.lock();
        let mut looked_up = looked_up.unwrap_or_else(PoisonError::into_inner);
        looked_up.push(Box::new(look));
    }

    /// Everything, in the text format of OpenMetrics 1.0.
    pub fn text(&self) -> String {
        let looked_up = self.0.looked_up.lock();
        let looked_up = looked_up.unwrap_or_else(PoisonError::into_inner);
        looked_up.iter().for_each(|look| look());
        drop(looked_up);
        let mut written = String::new();
        let registry = self
            .0
            .registry
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Writing to a string does not fail.
        let _ = text::encode(&mut written, &registry);
        written
    }

    pub(super) fn exchange_begun(&self) {
        self.0.open_exchanges.inc();
    }

    pub(super) fn exchange_over(&self, took: Duration) {
        self.0.open_exchanges.dec();
        self.0.exchange_seconds.observe(took.as_secs_f64());
    }

    /// What a panel answers. They are told from the beginning, so that the first is seen as one more.
    pub fn answers_of(&self, panel: &str) -> Answers {
        let of_class = |status| {
            let labels = Answered {
                verdict: "pass",
                panel: panel.to_owned(),
                status,
            };
            self.0.requests.get_or_create(&labels).clone()
        };
        Answers(Arc::new(CLASSES.map(of_class)))
    }

    pub(super) fn answered(&self, verdict: &'static str, status: StatusCode) {
        let labels = Answered {
            verdict,
            panel: String::new(),
            status: CLASSES.get(class(status)).copied().unwrap_or_default(),
        };
        self.0.requests.get_or_create(&labels).inc();
    }

    pub(super) fn panicked(&self) {
        self.0.panics.inc();
    }

    pub(super) fn line_dropped(&self) {
        self.0.lines_dropped.inc();
    }

    /// A step of a sign-in has ended.
    pub fn sign_in(&self, result: SignIn) {
        self.0
            .sign_ins
            .get_or_create(&SignInResult { result })
            .inc();
    }

    /// A set-up link was refused.
    pub fn setup_link_refused(&self) {
        self.0.setup_links_refused.inc();
    }

    /// A call of the management API has ended.
    pub fn management_call(&self, result: Call) {
        self.0
            .management_calls
            .get_or_create(&CallResult { result })
            .inc();
    }

    /// A request head was refused.
    pub fn head_refused(&self, cause: &'static str) {
        self.0.heads_refused.get_or_create(&Cause { cause }).inc();
    }

    /// A revocation has come so far since it was called.
    pub fn revocation(&self, step: Step, took: Duration) {
        self.0
            .revocation_seconds
            .get_or_create(&Reached { step })
            .observe(took.as_secs_f64());
    }

    /// A change of the store took so long.
    pub fn store_change(&self, took: Duration) {
        self.0.store_seconds.observe(took.as_secs_f64());
    }

    /// A panel did not answer.
    pub fn upstream_error(&self, panel: &str, status: StatusCode) {
        let labels = Upstream {
            panel: panel.to_owned(),
            status: status.as_u16(),
        };
        self.0.upstream_errors.get_or_create(&labels).inc();
    }

    /// The gateway broke an exchange off.
    pub(super) fn cut(&self, end: End) {
        let cause = end.word();
        self.0.cut.get_or_create(&Cause { cause }).inc();
    }

    /// A panel broke its answer off in this way.
    pub fn broke_off(&self, panel: &str, end: End) {
        let labels = BrokenAnswer {
            panel: panel.to_owned(),
            cause: end.word(),
        };
        self.0.broken_answers.get_or_create(&labels).inc();
    }
}

fn number(found: usize) -> i64 {
    i64::try_from(found).unwrap_or(i64::MAX)
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_told() {
        let metrics = Metrics::default();
        metrics.watch("sessions", "Live sessions", || 3);
        metrics.exchange_begun();
        metrics.watch_panels("panel_up", "Up", || vec![("a".to_owned(), 1)]);
        metrics.answers_of("a").count(StatusCode::NOT_FOUND);
        metrics.answered("refuse", StatusCode::MISDIRECTED_REQUEST);
        metrics.sign_in(SignIn::WrongCode);
        metrics.management_call(Call::WrongToken);
        metrics.setup_link_refused();
        metrics.revocation(Step::LastByte, Duration::from_millis(20));
        metrics.broke_off("a", End::PanelBadChunk);
        metrics.cut(End::CutNotAllowed);
        metrics.upstream_error("back \"office\"", StatusCode::BAD_GATEWAY);
        let text = metrics.text();
        for line in [
            "portcullis_requests_total{verdict=\"pass\",panel=\"a\",status=\"4xx\"} 1",
            "portcullis_requests_total{verdict=\"pass\",panel=\"a\",status=\"2xx\"} 0",
            "portcullis_requests_total{verdict=\"refuse\",panel=\"\",status=\"4xx\"} 1",
            "portcullis_open_exchanges 1",
            "portcullis_sign_ins_total{result=\"WrongCode\"} 1",
            "portcullis_management_calls_total{result=\"WrongToken\"} 1",
            "portcullis_setup_links_refused_total 1",
            "portcullis_revocation_seconds_count{step=\"LastByte\"} 1",
            "portcullis_upstream_errors_total{panel=\"back \\\"office\\\"\",status=\"502\"} 1",
            "portcullis_broken_answers_total{panel=\"a\",cause=\"panel-bad-chunk\"} 1",
            "portcullis_exchanges_cut_total{cause=\"cut-not-allowed\"} 1",
            "portcullis_sessions 3",
            "portcullis_panel_up{panel=\"a\"} 1",
            "# HELP portcullis_sessions Live sessions.",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
