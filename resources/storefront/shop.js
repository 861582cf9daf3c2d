/* Comfort on top of pages that work without it: stepper and total, countdown, turning the payment page, copying keys.
   No dependency, no storage, no other origin. Every element it acts on says so with a data- attribute. */
(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (selector, root = document) => root.querySelector(selector);

  // An error summary is read first.
  one("[data-focus]")?.focus();

  // Detail page: quantity stepper and a live total. Prices are integers of 1/10000 yuan, as on the server.
  const order = one("[data-order]");
  const quantity = order && one("#quantity", order);
  if (quantity) {
    const total = one("[data-total]", order);
    const steps = all("[data-step]", order);
    const money = (fen) => {
      const whole = String(Math.floor(fen / 100)).replace(/\B(?=(\d{3})+$)/g, ",");
      return { whole, part: "." + String(fen % 100).padStart(2, "0") };
    };
    const show = () => {
      const sku = one("[name=sku]:checked", order);
      if (!sku) return;
      const most = Number(sku.dataset.most);
      const count = /^\d+$/.test(quantity.value) ? Number(quantity.value) : 0;
      for (const button of steps) {
        const next = count + Number(button.dataset.step);
        button.disabled = next < 1 || next > most;
      }
      const known = count >= 1 && count <= most;
      total.hidden = !known;
      if (!known) return;
      const { whole, part } = money(Math.floor((Number(sku.dataset.unit) * count + 50) / 100));
      const price = document.createElement("span");
      const sign = document.createElement("i");
      const cents = document.createElement("small");
      price.className = "price";
      sign.textContent = "¥";
      cents.textContent = part;
      price.append(sign, whole, cents);
      total.replaceChildren(price);
    };
    for (const button of steps) {
      button.hidden = false;
      button.addEventListener("click", () => {
        quantity.value = (Number(quantity.value) || 0) + Number(button.dataset.step);
        show();
      });
    }
    order.addEventListener("input", show);
    addEventListener("pageshow", show);
    show();
  }

  // An order is submitted once; coming back with the browser's back button makes the form usable again.
  for (const form of all("[data-once]")) {
    const button = one("[data-busy]", form);
    const words = button.textContent;
    let sent = false;
    form.addEventListener("submit", (event) => {
      if (sent) return event.preventDefault();
      sent = true;
      button.setAttribute("aria-disabled", "true");
      button.textContent = button.dataset.busy;
    });
    addEventListener("pageshow", () => {
      sent = false;
      button.removeAttribute("aria-disabled");
      button.textContent = words;
    });
  }

  // Countdown from the server's seconds, so that a wrong clock on the phone does not matter. Not a live region.
  for (const place of all("[data-countdown]")) {
    const end = performance.now() + Number(place.dataset.countdown) * 1000;
    const tick = () => {
      const left = Math.max(0, Math.round((end - performance.now()) / 1000));
      one("b", place).textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
      if (left) setTimeout(tick, 500);
    };
    place.hidden = false;
    tick();
  }

  // Waiting page: ask our own server each second, later less often; turn the page as soon as the state differs.
  const waiting = one("[data-poll]");
  if (waiting) {
    const { poll, seen, ask, askAfter } = waiting.dataset;
    const hint = one("[data-hint]");
    const began = Date.now();
    let asked = began;
    let timer = 0;
    const look = async () => {
      clearTimeout(timer);
      const waited = Date.now() - began;
      try {
        // A callback may be lost, or the channel was silent: our server asks it again now and then.
        if (Date.now() - asked > (asked === began ? Number(askAfter) * 1000 : 10000)) {
          asked = Date.now();
          await fetch(ask, { method: "POST", redirect: "manual" });
        }
        const answer = await fetch(poll, { cache: "no-store", headers: { Accept: "application/json" } });
        if (answer.ok) {
          const now = await answer.json();
          if (`${now.state}:${now.attempt ?? ""}` !== seen) return location.replace(location.pathname);
        }
      } catch {
        // No network for a moment: the next look finds out.
      }
      if (hint && waited > 60000) hint.textContent = hint.dataset.after;
      timer = setTimeout(look, document.hidden ? 5000 : waited < 120000 ? 1000 : 3000);
    };
    timer = setTimeout(look, 1000);
    // Back from the payment app: look at once.
    document.addEventListener("visibilitychange", () => document.hidden || look());
    addEventListener("pageshow", (event) => event.persisted && look());
  }

  // Keys: copied raw, with feedback that stays. Where the clipboard is not allowed the key is selected instead.
  const keys = one("[data-keys]");
  if (keys) {
    const told = one("[data-told]", keys);
    const copied = new Set();
    const buttons = all("[data-key] [data-copy]", keys);
    const select = (node) => {
      const range = document.createRange();
      range.selectNodeContents(node);
      const selection = getSelection();
      selection.removeAllRanges();
      selection.addRange(range);
    };
    const byHand = (text) => {
      const field = document.createElement("textarea");
      field.value = text;
      field.readOnly = true;
      field.className = "unseen";
      keys.append(field);
      field.select();
      const done = document.execCommand("copy");
      field.remove();
      return done;
    };
    const put = async (text) => {
      try {
        await navigator.clipboard.writeText(text);
        return true;
      } catch {
        return byHand(text);
      }
    };
    const count = (button) =>
      buttons.length > 1 && copied.has(button)
        ? told.dataset.count.replace("{done}", copied.size).replace("{all}", buttons.length)
        : told.dataset.copied;
    const mark = (button) => {
      if (buttons.includes(button)) copied.add(button);
      button.classList.add("done");
      button.textContent = "✓ " + told.dataset.copied;
    };
    for (const button of all("[data-copy]")) {
      button.hidden = false;
      button.addEventListener("click", async () => {
        const node = document.getElementById(button.dataset.copy);
        if (await put(node.textContent)) {
          mark(button);
          told.textContent = count(button);
        } else {
          select(node);
          told.textContent = told.dataset.byHand;
        }
        button.focus();
      });
    }
    const everything = one("[data-copy-all]", keys);
    everything.hidden = false;
    everything.addEventListener("click", async () => {
      const lines = all("[data-key]", keys).map((key) => all("code", key).map((code) => code.textContent).join("\t"));
      const done = await put(lines.join("\n"));
      if (done) buttons.forEach(mark);
      else select(one("ol", keys));
      told.textContent = done ? everything.dataset.done : told.dataset.byHand;
      everything.focus();
    });
  }
})();
