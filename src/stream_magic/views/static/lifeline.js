/** Tells the kernel that this view is open, and the view when its kernel is gone. Returns what ends both. */
export function lifeline(model, onGone) {
  const id = crypto.randomUUID?.() ?? String(Math.random());
  const say = (what) => {
    try {
      model.send({ what, id });
    } catch {
      onGone();
    }
  };
  const close = () => say("closed");
  const gone = () => onGone();
  model.on("comm:close", gone);
  model.on("comm_live_update", gone);
  window.addEventListener("pagehide", close);
  say("opened");
  return () => {
    window.removeEventListener("pagehide", close);
    model.off("comm:close", gone);
    model.off("comm_live_update", gone);
    close();
  };
}

/** Hands a text to the browser as a file. */
export function download(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  const link = document.createElement("a");
  Object.assign(link, { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}
