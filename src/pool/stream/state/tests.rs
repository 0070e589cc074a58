use super::*;

/// A state in which items may be taken, by so many pumps.
fn state(window: usize, workers: usize) -> State<u64> {
    let mut state = State::new(true);
    state.consumed(0, window, workers);
    state
}

fn naps_until(state: &State<u64>, view: View, turn: Turn) -> Option<u32> {
    (0..100).find(|&naps| state.turn(&View { naps, ..view }) == turn)
}

#[test]
fn a_pump_is_launched_before_anything_else() {
    let state = state(4, 2);
    for (on_pool, limited) in [(false, false), (true, false), (false, true), (true, true)] {
        let view = View {
            on_pool,
            limited,
            ..View::default()
        };
        assert_eq!(state.turn(&view), Turn::Launch);
    }
    let alone = View {
        alone: true,
        limited: true,
        ..View::default()
    };
    assert_eq!(state.turn(&alone), Turn::Ask);
}

#[test]
fn the_consumer_asks_when_no_pump_has_come_for_long() {
    let mut state = state(4, 1);
    state.launch();
    let view = View::default();
    assert_eq!(naps_until(&state, view, Turn::Ask), Some(NAPS));
    assert_eq!(state.turn(&view), Turn::Sleep { nap: true });
    let on_pool = View {
        on_pool: true,
        ..view
    };
    assert_eq!(naps_until(&state, on_pool, Turn::Ask), Some(0));
    for on_pool in [false, true] {
        let view = View {
            on_pool,
            limited: true,
            ..view
        };
        let most = Some(NAPS_BEFORE_THE_SOURCE);
        assert_eq!(naps_until(&state, view, Turn::Ask), most);
        state.credit = 1; // the source was quick
        assert_eq!(naps_until(&state, view, Turn::Ask), Some(NAPS));
        state.credit = 0;
    }
    state.begin();
    assert_eq!(naps_until(&state, view, Turn::Ask), None);
}

#[test]
fn the_consumer_computes_beside_fewer_threads_than_the_pool_has() {
    let mut state = state(4, 2);
    state.launch();
    state.begin();
    state.ask(2);
    state.launch();
    let view = View {
        behind_source: true,
        ..View::default()
    };
    let first = naps_until(&state, view, Turn::Compute);
    assert_eq!(first, Some(NAPS_BEHIND_THE_SOURCE));
    let on_pool = View {
        on_pool: true,
        ..view
    };
    assert_eq!(naps_until(&state, on_pool, Turn::Compute), Some(0));
    let view = View {
        behind_item: true,
        ..View::default()
    };
    assert_eq!(naps_until(&state, view, Turn::Compute), Some(NAPS));
    for _ in 0..2 {
        state.compute(1);
    }
    assert_eq!(naps_until(&state, view, Turn::Compute), None);
    assert_eq!(state.turn(&view), Turn::Sleep { nap: false });
}

#[test]
fn short_items_are_not_worth_a_second_pump_while_the_first_gets_on() {
    let mut state = state(64, 2);
    state.launch();
    state.begin();
    let view = View::default();
    assert_eq!(state.turn(&view), Turn::Launch); // nothing is known of the items
    state.learn(1_000, 10);
    assert!(!state.wants_pump());
    assert_eq!(state.turn(&view), Turn::Sleep { nap: true });
    let stuck = View { naps: 1, ..view };
    assert_eq!(state.turn(&stuck), Turn::Launch);
    state.learn(1_000_000, 1);
    assert!(state.wants_pump());
    assert_eq!(state.turn(&view), Turn::Launch);
}

#[test]
fn a_sleeper_is_woken_by_what_concerns_it() {
    let mut state = state(4, 2);
    state.launch();
    state.launch();
    state.sleep = Sleep::Sound;
    assert!(state.needs_consumer(), "nothing is at work");
    state.begin();
    assert!(!state.needs_consumer());
    state.ask(3);
    state.note_lying();
    assert!(state.needs_consumer(), "items are lying about");
    state.sleep = Sleep::Nap;
    assert!(!state.needs_consumer(), "it will look anyway");
    state.asked(3, 2, false, false);
    state.put(1, Ok(1));
    assert!(!state.needs_consumer(), "another one comes first");
    state.put(0, Ok(0));
    assert!(state.needs_consumer());
    state.sleep = Sleep::Awake;
    assert!(!state.needs_consumer());
}

#[test]
fn a_pump_that_has_had_its_thread_for_long_ends_when_another_is_launched() {
    let mut state = state(4, 1);
    state.launch();
    state.begin();
    assert!(!state.relieve());
    state.note_overdue();
    assert!(!state.is_relieved());
    assert!(state.relieve() && !state.relieve());
    assert!(state.is_relieved() && state.pumps == 2);
    state.end_overdue();
    assert!(!state.is_relieved());
    // One that ends before needs no other.
    state.note_overdue();
    state.end_overdue();
    assert!(!state.relieve());
}

#[test]
fn costs_rise_at_once_and_fall_by_and_by() {
    let mut state = state(1 << 20, 1);
    assert_eq!((state.share(), state.chunk()), (1, 1));
    state.learn(1_000, 10);
    assert_eq!((state.share(), state.chunk()), (500, 200));
    state.learn(0, 0);
    assert_eq!(state.share(), 500);
    state.learn(1_000_000, 1);
    assert_eq!((state.share(), state.chunk()), (1, 1));
    state.learn(100, 1);
    assert_eq!(state.cost, 500_050);
}

/// Numbers that look random (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }
}

/// A pump of the simulation: its items that it has not begun, and what it is at.
#[derive(Default)]
struct Pump {
    items: VecDeque<u64>,
    at: At,
}

#[derive(Default)]
enum At {
    /// It was launched, and has no thread.
    #[default]
    Queue,
    Lock,
    Source(usize),
    Item(u64),
    Ended,
}

/// A stream of which a scheduler moves any thread at any time, without threads or time.
struct Simulation {
    state: State<u64>,
    pumps: Vec<Pump>,
    len: u64,
    taken: u64,
    window: usize,
    /// No pump gets a thread.
    starved: bool,
    view: View,
    seen: u64,
    unreported: usize,
}

impl Simulation {
    /// One step of the consumer, which does not sleep. Says whether it is at the end.
    fn consume(&mut self, dice: &mut Dice) -> bool {
        let mut near = VecDeque::new();
        self.state.take_ready(&mut near);
        self.seen += near.len() as u64;
        self.unreported += near.len();
        if self.state.is_finished() {
            return true;
        }
        if !near.is_empty() {
            let handed_out = std::mem::take(&mut self.unreported);
            self.state.consumed(handed_out, self.window, 2);
            self.view.naps = 0;
            return false;
        }
        let waiting = |pump: &Pump| !pump.items.is_empty();
        let asking = |pump: &Pump| matches!(pump.at, At::Source(_));
        let pumps = &self.pumps;
        self.view.behind_source = pumps.iter().any(|p| waiting(p) && asking(p));
        self.view.behind_item = pumps.iter().any(|p| waiting(p) && !asking(p));
        match self.state.turn(&self.view) {
            Turn::Launch => {
                self.view.launched = true;
                self.state.launch();
                self.pumps.push(Pump::default());
            }
            Turn::Compute => {
                let pump = self.pumps.iter_mut().find(|pump| waiting(pump)).unwrap();
                let item = pump.items.pop_front().unwrap();
                self.state.compute(1);
                self.state.computed(1);
                self.state.put(item, Ok(item));
            }
            Turn::Ask => {
                self.state.ask(1);
                let item = (self.taken < self.len).then_some(self.taken);
                self.taken += u64::from(item.is_some());
                let taken = usize::from(item.is_some());
                self.state.asked(1, taken, dice.below(2) == 0, item.is_none());
                if let Some(item) = item {
                    self.state.compute(1);
                    self.state.computed(1);
                    self.state.put(item, Ok(item));
                }
            }
            Turn::Sleep { nap } => {
                self.view.launched = false;
                let lying = self.view.behind_source || self.view.behind_item;
                self.state.set_lying(lying);
                self.state.sleep = if nap { Sleep::Nap } else { Sleep::Sound };
            }
        }
        false
    }

    /// One step of a pump.
    fn pump(&mut self, index: usize, dice: &mut Dice) {
        let state = &mut self.state;
        let pump = &mut self.pumps[index];
        match pump.at {
            At::Queue => {
                state.begin();
                pump.at = At::Lock;
            }
            At::Source(most) => {
                let given = (dice.below(most) + 1).min((self.len - self.taken) as usize);
                pump.items.extend(self.taken..self.taken + given as u64);
                self.taken += given as u64;
                state.asked(most, given, dice.below(2) == 0, given == 0);
                state.note_progress();
                pump.at = At::Lock;
                if state.wants_pump() {
                    state.launch();
                    self.pumps.push(Pump::default());
                }
            }
            At::Item(item) => {
                state.computed(1);
                state.learn([10, 1_000_000][dice.below(2)], 1);
                state.note_progress();
                state.put(item, Ok(item));
                pump.at = At::Lock;
            }
            At::Lock => match state.step(pump.items.len(), dice.below(2) == 0) {
                Some(Step::Compute(_)) => {
                    state.compute(1);
                    if pump.items.len() > 1 {
                        state.note_lying();
                    }
                    pump.at = At::Item(pump.items.pop_front().unwrap());
                }
                Some(Step::Ask(most)) => {
                    state.ask(most);
                    pump.at = At::Source(most);
                }
                Some(Step::Look) => {}
                Some(Step::Steal) => {
                    let other = self.pumps.iter_mut().find(|pump| !pump.items.is_empty());
                    match other.and_then(|other| other.items.pop_front()) {
                        Some(item) => self.pumps[index].items.push_back(item),
                        None => {
                            state.unlaunch();
                            state.end();
                            self.pumps[index].at = At::Ended;
                        }
                    }
                }
                None => unreachable!("nothing stops it"),
            },
            At::Ended => {}
        }
        if self.state.needs_consumer() {
            self.state.sleep = Sleep::Awake;
        }
    }

    fn is_ready(&self, pump: &Pump) -> bool {
        match pump.at {
            At::Queue => !self.starved,
            At::Ended => false,
            _ => true,
        }
    }

    /// Moves threads at random until the stream is finished. Panics where the consumer sleeps and
    /// nothing will wake it.
    fn run(mut self, dice: &mut Dice) {
        for _ in 0..100_000 {
            let ready: Vec<usize> = (0..self.pumps.len())
                .filter(|&index| self.is_ready(&self.pumps[index]))
                .collect();
            assert!(self.state.in_flight <= self.window, "the window");
            assert!(self.state.unfinished <= self.state.in_flight);
            match self.state.sleep {
                Sleep::Sound => assert!(!ready.is_empty(), "asleep for ever"),
                Sleep::Nap if ready.is_empty() || dice.below(20) == 0 => {
                    self.state.sleep = Sleep::Awake;
                    self.view.naps += 1;
                }
                Sleep::Nap => {}
                Sleep::Awake if ready.is_empty() || dice.below(2) == 0 => {
                    if self.consume(dice) {
                        assert_eq!(self.seen, self.len);
                        return;
                    }
                    continue;
                }
                Sleep::Awake => {}
            }
            if !ready.is_empty() {
                self.pump(ready[dice.below(ready.len())], dice);
            }
        }
        panic!("it does not end");
    }
}

/// Whatever the threads do when, the consumer never sleeps for ever, and comes to the end.
#[test]
fn no_schedule_leaves_the_consumer_asleep() {
    for seed in 0..3_000 {
        let mut dice = Dice(seed);
        let window = 1 + dice.below(9);
        let mut state = State::new(dice.below(2) == 0);
        state.consumed(0, window, 2);
        let simulation = Simulation {
            state,
            pumps: Vec::new(),
            len: dice.below(30) as u64,
            taken: 0,
            window,
            starved: dice.below(4) == 0,
            view: View {
                looked: true,
                on_pool: dice.below(2) == 0,
                limited: dice.below(4) == 0,
                ..View::default()
            },
            seen: 0,
            unreported: 0,
        };
        simulation.run(&mut dice);
    }
}
