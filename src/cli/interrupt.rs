//! Ctrl-C: the first one stops after the current step, the second one now. So do the signals by which a terminal that is
//! closed and a service manager end a program: instances that are stopped or frozen for a while are started first.

use std::process::exit;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::failure::Kind;
use crate::ui::Ui;

/// Listens from now on. What is returned becomes true at the first Ctrl-C.
pub fn listen(ui: &Ui) -> watch::Receiver<bool> {
    let (sender, receiver) = watch::channel(false);
    let ui = ui.clone();
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
    let [Ok(mut pressed), Ok(mut ended), Ok(mut closed)] = kinds else { return receiver };
    tokio::spawn(async move {
        // It listens as long as there is something that could be stopped.
        tokio::select! {
            () = any(&mut pressed, &mut ended, &mut closed) => {}
            () = sender.closed() => return,
        }
        ui.talk("stopping after the current step; press Ctrl-C again to stop now");
        let _ = sender.send(true);
        any(&mut pressed, &mut ended, &mut closed).await;
        exit(i32::from(Kind::Interrupted.code()));
    });
    receiver
}

/// Waits for one of them.
async fn any(pressed: &mut Signal, ended: &mut Signal, closed: &mut Signal) {
    tokio::select! {
        _ = pressed.recv() => {}
        _ = ended.recv() => {}
        _ = closed.recv() => {}
    }
}
