//! Instances of the component: one store, one configuration, one request at a time.
//!
//! Everything that does not depend on the request is done once in [`Guests::new`] (linking, looking up exports); what
//! remains per request is measured in docs/performance.md.

mod look;

use std::sync::Arc;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::Full;
use tokio::sync::oneshot;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker, ResourceTable};
use wasmtime::{Engine, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::bindings::{Proxy, ProxyIndices};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::app::App;
use crate::bindings::{configuration, seeding, tools};
use crate::guest_log::GuestStream;
use crate::limits::MemoryLimit;
use crate::outbound::{Gate, Outgoing};

pub(crate) use look::{LookedAt, open_beneath};

/// What the guest answered: a response, or a code of `wasi:http`.
pub(crate) type Answer = Result<http::Response<HyperOutgoingBody>, ErrorCode>;

/// Why an instance did not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The pool is exhausted or the component does not start.
    #[error("failed to start an instance: {0:#}")]
    Start(wasmtime::Error),
    /// The component refused its compiled configuration.
    #[error("the component refused its configuration: {0}")]
    Configuration(String),
    #[error("the instance needed more than {max_bytes} bytes of memory")]
    Memory { max_bytes: usize },
    /// `unreachable`, a panic, an access outside its memory.
    #[error("the instance trapped: {0}")]
    Trap(String),
    #[error("the request took longer than it may")]
    Deadline,
}

/// What belongs to one instance.
pub(crate) struct State {
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outgoing: Outgoing,
    memory: MemoryLimit,
    /// The file that was looked at last.
    looked_at: Option<LookedAt>,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.outgoing,
        }
    }
}

/// An instance that has its configuration and serves requests, one after the other.
pub(crate) struct Instance {
    store: Store<State>,
    proxy: Proxy,
    served: u32,
}

/// An instance that has its configuration and works off pieces of seeding.
pub(crate) struct Worker {
    store: Store<State>,
    guest: seeding::Guest,
}

impl Worker {
    /// `seeding.tasks`
    pub(crate) async fn tasks(&mut self) -> Result<Result<Vec<seeding::Task>, String>, Failure> {
        let result = self.guest.call_tasks(&mut self.store).await;
        result.map_err(|error| trap(&self.store, &error))
    }

    /// `seeding.count`
    pub(crate) async fn count(
        &mut self,
        task: u32,
        options: seeding::Options,
    ) -> Result<Result<seeding::Estimate, seeding::Failure>, Failure> {
        let result = self.guest.call_count(&mut self.store, task, options).await;
        result.map_err(|error| trap(&self.store, &error))
    }

    /// `seeding.look`
    pub(crate) async fn look(
        &mut self,
        task: u32,
        options: seeding::Options,
        level: u32,
    ) -> Result<Result<seeding::Picture, seeding::Failure>, Failure> {
        let result = self.guest.call_look(&mut self.store, task, options, level).await;
        result.map_err(|error| trap(&self.store, &error))
    }

    /// `seeding.plan`
    pub(crate) async fn plan(
        &mut self,
        task: u32,
        options: seeding::Options,
        cursor: Option<&[u8]>,
        limit: u32,
    ) -> Result<Result<seeding::Batch, seeding::Failure>, Failure> {
        let cursor = cursor.map(<[u8]>::to_vec);
        let result = self
            .guest
            .call_plan(&mut self.store, task, options, cursor.as_deref(), limit)
            .await;
        result.map_err(|error| trap(&self.store, &error))
    }

    /// `seeding.run`
    pub(crate) async fn run(
        &mut self,
        task: u32,
        options: seeding::Options,
        id: &str,
    ) -> Result<Result<seeding::Report, seeding::Failure>, Failure> {
        let result = self.guest.call_run(&mut self.store, task, options, id).await;
        result.map_err(|error| trap(&self.store, &error))
    }
}

/// The component, linked and ready to be instantiated.
pub(crate) struct Guests {
    pre: InstancePre<State>,
    configuration: configuration::GuestIndices,
    /// A component may be one that only serves.
    seeding: Option<seeding::GuestIndices>,
    tools: Option<tools::GuestIndices>,
    proxy: ProxyIndices,
    configure: ComponentExportIndex,
    max_memory: usize,
    max_requests: u32,
}

impl Guests {
    /// Links `component`. Each instance gets at most `max_memory` bytes and `max_requests` requests.
    pub(crate) fn new(component: &Component, max_memory: usize, max_requests: u32) -> Result<Self> {
        let mut linker = Linker::<State>::new(component.engine());
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
        look::add_to_linker(&mut linker)?;
        let pre = linker
            .instantiate_pre(component)
            .map_err(anyhow::Error::from)
            .context("failed to link the component")?;
        let configuration = configuration::GuestIndices::new(&pre)
            .map_err(anyhow::Error::from)
            .context("the component does not offer `mapproxy:proxy/configuration`")?;
        let seeding = seeding::GuestIndices::new(&pre).ok();
        let tools = tools::GuestIndices::new(&pre).ok();
        let proxy = ProxyIndices::new(&pre)
            .map_err(anyhow::Error::from)
            .context("the component does not offer `wasi:http/incoming-handler`")?;
        let interface = component
            .get_export_index(None, "mapproxy:proxy/configuration@0.1.0")
            .context("the component does not offer `mapproxy:proxy/configuration@0.1.0`")?;
        let configure = component
            .get_export_index(Some(&interface), "configure")
            .context("the component does not offer `configure`")?;
        Ok(Self {
            pre,
            configuration,
            seeding,
            tools,
            proxy,
            configure,
            max_memory,
            max_requests: max_requests.max(1),
        })
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.pre.engine()
    }

    /// An instance that can do nothing but compute, for `compile`.
    pub(crate) async fn compiler(&self) -> Result<(Store<State>, configuration::Guest)> {
        let (mut store, instance) = self.computer().await?;
        let guest = self.configuration.load(&mut store, &instance)?;
        Ok((store, guest))
    }

    /// The same for `seeding.compile`.
    pub(crate) async fn seed_compiler(&self) -> Result<(Store<State>, seeding::Guest)> {
        let (mut store, instance) = self.computer().await?;
        let guest = self.load_seeding(&mut store, &instance)?;
        Ok((store, guest))
    }

    /// The same for `tools`.
    pub(crate) async fn toolbox(&self) -> Result<(Store<State>, tools::Guest)> {
        let (mut store, instance) = self.computer().await?;
        let indices = self.tools.as_ref();
        let guest = indices
            .context("the component does not offer `mapproxy:proxy/tools`")?
            .load(&mut store, &instance)?;
        Ok((store, guest))
    }

    async fn computer(&self) -> Result<(Store<State>, wasmtime::component::Instance)> {
        let mut store = self.store(State::new(
            WasiCtx::builder().build(),
            Outgoing::nothing(),
            self.max_memory,
        ));
        let instance = self.pre.instantiate_async(&mut store).await?;
        Ok((store, instance))
    }

    fn load_seeding(
        &self,
        store: &mut Store<State>,
        instance: &wasmtime::component::Instance,
    ) -> Result<seeding::Guest> {
        let indices = self
            .seeding
            .as_ref()
            .context("the component does not offer `mapproxy:proxy/seeding`")?;
        Ok(indices.load(store, instance)?)
    }

    /// A fresh instance of `app` for one piece of seeding, whose requests pass `gate`.
    pub(crate) async fn worker(&self, app: &App, gate: Arc<dyn Gate>) -> Result<Worker, Failure> {
        let outgoing = Outgoing::to(Arc::clone(&app.upstreams)).through(gate);
        let (mut store, instance) = self.configured(app, outgoing).await?;
        let guest = self
            .load_seeding(&mut store, &instance)
            .map_err(|error| Failure::Configuration(format!("{error:#}")))?;
        Ok(Worker { store, guest })
    }

    /// Runs one request to its end in an instance of `app`; the answer goes through `respond` as soon as its head is
    /// known, its body while the guest writes it. Returns the file that the guest looked at last.
    pub(crate) async fn handle(
        &self,
        app: &App,
        request: http::Request<Full<Bytes>>,
        respond: oneshot::Sender<Answer>,
    ) -> Result<Option<LookedAt>, Failure> {
        let mut instance = match app.take_idle() {
            Some(instance) => instance,
            None => self.instance(app).await?,
        };
        let store = &mut instance.store;
        let mut view = store.data_mut().http();
        let scheme = match request.extensions().get::<http::uri::Scheme>() {
            Some(scheme) if *scheme == http::uri::Scheme::HTTPS => Scheme::Https,
            _ => Scheme::Http,
        };
        let request = view.new_incoming_request(scheme, request).map_err(Failure::Start)?;
        let respond = view.new_response_outparam(respond).map_err(Failure::Start)?;
        let result = instance
            .proxy
            .wasi_http_incoming_handler()
            .call_handle(&mut *store, request, respond)
            .await;
        result.map_err(|error| trap(store, &error))?;
        let looked_at = store.data_mut().looked_at.take();
        instance.served += 1;
        if instance.served < self.max_requests {
            app.keep_idle(instance);
        }
        Ok(looked_at)
    }

    /// Whether instances of `app` start and accept its configuration.
    pub(crate) async fn probe(&self, app: &App) -> Result<(), Failure> {
        self.instance(app).await.map(drop)
    }

    async fn instance(&self, app: &App) -> Result<Instance, Failure> {
        let outgoing = Outgoing::to(Arc::clone(&app.upstreams));
        let (mut store, instance) = self.configured(app, outgoing).await?;
        let proxy = self.proxy.load(&mut store, &instance).map_err(Failure::Start)?;
        Ok(Instance {
            store,
            proxy,
            served: 0,
        })
    }

    /// A fresh instance that has its configuration.
    async fn configured(
        &self,
        app: &App,
        outgoing: Outgoing,
    ) -> Result<(Store<State>, wasmtime::component::Instance), Failure> {
        let mut wasi = WasiCtx::builder();
        wasi.stdout(GuestStream::Stdout)
            .stderr(GuestStream::Stderr)
            .allow_tcp(false)
            .allow_udp(false);
        let mut wasi = wasi.build();
        *wasi.filesystem() = app.directories.context();
        let mut store = self.store(State::new(wasi, outgoing, self.max_memory));

        let instance = self
            .pre
            .instantiate_async(&mut store)
            .await
            .map_err(|error| start(&store, error))?;
        let configure = instance
            .get_typed_func::<(&[u8],), (Result<(), String>,)>(&mut store, self.configure)
            .map_err(Failure::Start)?;
        let (accepted,) = configure
            .call_async(&mut store, (app.recipe.compiled.as_slice(),))
            .await
            .map_err(|error| trap(&store, &error))?;
        accepted.map_err(Failure::Configuration)?;
        Ok((store, instance))
    }

    fn store(&self, state: State) -> Store<State> {
        let mut store = Store::new(self.engine(), state);
        store.limiter(|state| &mut state.memory);
        // At each tick of the clock a computing guest gives way to other tasks of its thread; that is also where an
        // expired deadline takes effect.
        store.epoch_deadline_async_yield_and_update(1);
        store.set_epoch_deadline(1);
        store
    }
}

impl State {
    fn new(wasi: WasiCtx, outgoing: Outgoing, max_memory: usize) -> Self {
        Self {
            table: ResourceTable::new(),
            wasi,
            http: WasiHttpCtx::new(),
            outgoing,
            memory: MemoryLimit::new(max_memory),
            looked_at: None,
        }
    }
}

fn start(store: &Store<State>, error: wasmtime::Error) -> Failure {
    if store.data().memory.exceeded() {
        trap(store, &error)
    } else {
        Failure::Start(error)
    }
}

/// Tells the memory limit from other traps; the message of a trap is its reason and the names of the functions.
fn trap(store: &Store<State>, error: &wasmtime::Error) -> Failure {
    let memory = &store.data().memory;
    if memory.exceeded() {
        return Failure::Memory {
            max_bytes: memory.max_bytes(),
        };
    }
    Failure::Trap(format!("{:#}", error.root_cause()))
}
