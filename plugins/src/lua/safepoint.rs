//! What Luau does at each of its safepoints (calls, returns, loops, steps of a pattern): a look at the budget, and nothing else while
//! there is time.
//!
//! It is apart because mlua's own way to such a look takes longer than most of what lies between two of them: only what has to stop
//! goes that way. It must not know how time is counted.
#![allow(unsafe_code, reason = "mlua has no hook that is called without its guards")]

use std::ffi::c_int;
use std::sync::{Arc, OnceLock};

use mlua::ffi::{lua_State, lua_callbacks, lua_getthreaddata, lua_mainthread, lua_setthreaddata};
use mlua::{Error, Lua, VmState};

use super::budget::Budget;

type Interrupt = unsafe extern "C-unwind" fn(*mut lua_State, c_int);

/// What the hook finds in a VM's main thread.
struct Post {
    budget: Arc<Budget>,
    /// mlua's hook, which asks the budget again and raises an error.
    stop: OnceLock<Interrupt>,
}

/// Has a VM stop when its budget is used up.
pub(super) fn watch(lua: &Lua, budget: &Arc<Budget>) -> mlua::Result<()> {
    let post = Arc::new(Post { budget: Arc::clone(budget), stop: OnceLock::new() });
    let kept = Arc::clone(&post);
    lua.set_interrupt(move |_| match kept.budget.tripped() {
        None => Ok(VmState::Continue),
        Some(kind) => Err(Error::runtime(kind.as_str())),
    });
    // SAFETY: the state is that of `lua`, which is not running. mlua leaves the main thread's data to others; what is put there lives as
    // long as the state, which keeps the closure above. mlua's hook is of the type that Luau calls, and stays good.
    unsafe {
        lua.exec_raw::<()>((), |state| {
            let callbacks = lua_callbacks(state);
            if let Some(stop) = (*callbacks).interrupt {
                let _first = post.stop.set(stop);
                lua_setthreaddata(lua_mainthread(state), Arc::as_ptr(&post).cast_mut().cast());
                (*callbacks).interrupt = Some(look);
            }
        })
    }
}

/// The hook.
// SAFETY: Luau calls it with a state of a VM that `watch` has seen, on the thread that runs it.
unsafe extern "C-unwind" fn look(state: *mut lua_State, gc: c_int) {
    // A step of the garbage collector, which is no place to stop.
    if gc >= 0 {
        return;
    }
    // SAFETY: `watch` put it there, shared and for as long as the state lives.
    let post = unsafe { lua_getthreaddata(lua_mainthread(state)).cast::<Post>().as_ref() };
    let Some(post) = post else { return };
    if let (Some(_), Some(stop)) = (post.budget.tick(), post.stop.get()) {
        // SAFETY: it is what Luau would have called here.
        unsafe { stop(state, gc) }
    }
}
