//! What the holder does in the background: sets frames aside and gives them back, tells owners what
//! they could have, and asks them for what the node needs itself.

use core::{sync::atomic::Ordering, time::Duration};

use kapi::{clock, page::Page, thread, wait::Mode};
use netproto::{
    msg::lodge::{HandBack, Offer},
    Class, Slot,
};
use vm_remote::lodge::{
    lending::{Now, Plan},
    Peer,
};

use super::{knobs, Keeper, State};
use crate::{lodge::wire, port::net};

/// How often the node's memory is looked at when nothing happens.
const TURN_TIME: Duration = Duration::from_millis(500);
/// Frames that are taken or given back before others get at the machine.
const BATCH: usize = 32;

/// The thread.
pub(super) fn run(keeper: &Keeper) {
    while !thread::should_stop() {
        keeper.poked.store(false, Ordering::Release);
        let pause = turn(keeper);
        let ready = || thread::should_stop() || keeper.poked.load(Ordering::Acquire);
        // Nothing but its condition and its time end this wait.
        let _ = keeper.wake.wait(Mode::Idle, Some(pause), ready);
    }
}

/// All that is due. Gives when to come again.
fn turn(keeper: &Keeper) -> Duration {
    keeper.turn_ns.store(clock::now_ns(), Ordering::Relaxed);
    keeper.make_room();
    let Some(plan) = plan(keeper) else { return TURN_TIME };
    fit(keeper, &plan);
    offer(keeper);
    hand_back(keeper)
}

fn plan(keeper: &Keeper) -> Option<Plan> {
    let mut place = keeper.state.lock();
    let state = place.as_mut()?;
    let limits = knobs::limits(state.frames.room());
    let (frames, promised) = (state.machine.frames(), state.machine.promised());
    let now = Now { available: super::available(), frames, promised };
    let gate = keeper.gate();
    let mut plan = state.lending.plan(&limits, &now, gate);
    if clock::now_ns() < keeper.shrunk_ns.load(Ordering::Relaxed) {
        plan.frames = plan.frames.min(frames);
    }
    state.set(gate, plan.pressure);
    let quota = knobs::owner_max();
    Slot::all().for_each(|slot| state.machine.set_quota(slot, quota));
    knobs::publish(state.machine.stats());
    Some(plan)
}

/// Takes or gives frames until there are as many as planned, or as can be.
fn fit(keeper: &Keeper, plan: &Plan) {
    while !thread::should_stop() {
        let have = keeper.with(|state| state.machine.frames()).unwrap_or(plan.frames);
        let moved = if have < plan.frames {
            take_some(keeper, (plan.frames - have) as usize)
        } else if have > plan.frames {
            give_some(keeper, (have - plan.frames) as usize)
        } else {
            0
        };
        if moved == 0 {
            return;
        }
        thread::cond_resched();
    }
}

/// Sets some frames aside; they are allocated before anything is locked.
fn take_some(keeper: &Keeper, most: usize) -> usize {
    let mut pages: [Option<Page>; BATCH] = [const { None }; BATCH];
    for place in pages.iter_mut().take(most) {
        *place = Page::spare().inspect_err(|_| knobs::FRAMES_FAILED.add(1)).ok();
        if place.is_none() {
            break;
        }
    }
    let taken = keeper.with(|state| {
        let pages = pages.iter_mut().map_while(Option::take);
        pages.map_while(|page| state.add_frame(page).then_some(())).count()
    });
    taken.unwrap_or(0)
}

/// Gives some frames back to the kernel.
fn give_some(keeper: &Keeper, most: usize) -> usize {
    let mut pages: [Option<Page>; BATCH] = [const { None }; BATCH];
    let given = keeper.with(|state| {
        for place in pages.iter_mut().take(most) {
            *place = state.take_frame();
        }
        pages.iter().flatten().count()
    });
    // The pages go here, with nothing locked.
    given.unwrap_or(0)
}

/// Whether an owner should hear of it.
fn is_news(told: Option<u32>, spare: u32) -> bool {
    told.is_none_or(|told| {
        let change = told.abs_diff(spare);
        change > told / 4 && change >= 64 || (told == 0) != (spare == 0)
    })
}

/// Tells owners what they could have, where that has changed much.
fn offer(keeper: &Keeper) {
    for slot in Slot::all() {
        let news = keeper.with(|state| {
            let owner = state.up[slot.index()]?;
            let (_, limit) = state.machine.of(slot);
            let spare = state.machine.spare().min(knobs::owner_max().saturating_sub(limit));
            is_news(state.told[slot.index()], spare).then_some((owner, spare))
        });
        if let Some((owner, spare)) = news.flatten() {
            send_offer(keeper, owner, spare);
        }
    }
}

fn send_offer(keeper: &Keeper, owner: Peer, spare: u32) {
    let offer = Offer { spare }.encode();
    // What could not be sent is tried again at the next turn.
    if wire::send(owner, Class::Control, Offer::KIND, &[&offer]).is_ok() {
        knobs::count_offer();
        keeper.with(|state| state.told[owner.slot.index()] = Some(spare));
    }
}

/// Asks owners to take pages away, as far as that is due. Gives when to come again.
fn hand_back(keeper: &Keeper) -> Duration {
    let now = net::now();
    while let Some((owner, message)) =
        keeper.with(|state| state.machine.poll_hand_back(now)).flatten()
    {
        // It is repeated anyway.
        let _ = wire::send(owner, Class::Control, HandBack::KIND, &[&message.encode()]);
    }
    let next = keeper.with(|state: &mut State| state.machine.poll_timeout(now)).flatten();
    next.map_or(TURN_TIME, |at| Duration::from_nanos(at.since(now).as_ns()).min(TURN_TIME))
}
