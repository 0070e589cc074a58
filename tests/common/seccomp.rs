//! Calls of the system that are refused, as a sandbox or an older kernel would.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::io;

/// A call that is to fail.
pub(crate) struct Refusal {
    call: libc::c_long,
    /// Where these arguments (counted from 0), under a mask, have these values: all of them, in
    /// their lower halves.
    arguments: Vec<(u32, u32, u32)>,
    error: i32,
}

impl Refusal {
    pub(crate) fn of(call: libc::c_long, error: i32) -> Self {
        Self {
            call,
            arguments: Vec::new(),
            error,
        }
    }

    pub(crate) fn with(mut self, argument: u32, mask: u32, value: u32) -> Self {
        self.arguments.push((argument, mask, value));
        self
    }

    fn program(&self, program: &mut Vec<libc::sock_filter>) {
        let load = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
        let and = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
        let equal = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
        let answer = (libc::BPF_RET | libc::BPF_K) as u16;
        let left = |conditions: usize| (3 * conditions + 1) as u8; // instructions up to the end
        let conditions = self.arguments.len();
        program.push(statement(load, 0)); // the call's number
        program.push(jump(equal, self.call as u32, left(conditions)));
        for (i, (argument, mask, value)) in self.arguments.iter().enumerate() {
            program.push(statement(load, 16 + 8 * argument));
            program.push(statement(and, *mask));
            program.push(jump(equal, *value, left(conditions - i - 1)));
        }
        program.push(statement(
            answer,
            libc::SECCOMP_RET_ERRNO | self.error as u32,
        ));
    }
}

fn statement(code: u16, k: u32) -> libc::sock_filter {
    jump_both(code, k, 0)
}

/// Goes on where it is so, and skips some where it is not.
fn jump(code: u16, k: u32, skip: u8) -> libc::sock_filter {
    jump_both(code, k, skip)
}

fn jump_both(code: u16, k: u32, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code, jt: 0, jf, k }
}

/// Has calls fail from now on: in this thread, and in the threads and processes that it starts.
/// Nothing takes that back.
pub(crate) fn refuse(refusals: &[Refusal]) -> io::Result<()> {
    let mut program = Vec::new();
    for refusal in refusals {
        refusal.program(&mut program);
    }
    let allow = (libc::BPF_RET | libc::BPF_K) as u16;
    program.push(statement(allow, libc::SECCOMP_RET_ALLOW));
    let program = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    let done = |result| match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    };
    // SAFETY: no conditions.
    done(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })?;
    let mode = libc::SECCOMP_MODE_FILTER;
    // SAFETY: the program is as long as it says, and is copied.
    done(unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program) })
}
