//! Ctrl-C: the first one stops after the current step, the second one now.

use std::process::exit;

use tokio::sync::watch;

use crate::failure::Kind;
use crate::ui::Ui;

/// Listens from now on. What is returned becomes true at the first Ctrl-C.
pub fn listen(ui: &Ui) -> watch::Receiver<bool> {
    let (sender, receiver) = watch::channel(false);
    let ui = ui.clone();
    tokio::spawn(async move {
        // It listens as long as there is something that could be stopped.
        tokio::select! {
            pressed = tokio::signal::ctrl_c() => if pressed.is_err() { return },
            () = sender.closed() => return,
        }
        ui.talk("stopping after the current step; press Ctrl-C again to stop now");
        let _ = sender.send(true);
        if tokio::signal::ctrl_c().await.is_ok() {
            exit(i32::from(Kind::Interrupted.code()));
        }
    });
    receiver
}
