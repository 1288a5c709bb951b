// The ledger, checked by the reader's own browser: RFC 6962 leaves, RFC 9162 proofs, C2SP signed checkpoints.
//
// Nothing the server says is believed but bytes: hashes are computed here, by WebCrypto. What a browser cannot do (Ed25519
// in older ones, anything at all on a page that came over plain http) is said, never passed over. The last checkpoint that
// was seen is kept in localStorage, so that a ledger that is rolled back or rewritten between two visits shows. It is no
// secret: a checkpoint is made to be handed out.
"use strict";

const opsrailLedger = (() => {
  const SEEN = "opsrail.checkpoint";
  const utf8 = (text) => new TextEncoder().encode(text);
  const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

  function fromHex(text) {
    if (!/^([0-9a-f]{2})*$/.test(text)) throw new Error(`${text.slice(0, 80)} is not hexadecimal`);
    return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
  }

  function fromBase64(text) {
    return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  }

  function same(one, other) {
    return one !== null && one.length === other.length && one.every((byte, at) => byte === other[at]);
  }

  async function sha256(...parts) {
    const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      joined.set(part, at);
      at += part.length;
    }
    return new Uint8Array(await crypto.subtle.digest("SHA-256", joined));
  }

  const leafHash = (content) => sha256(Uint8Array.of(0), content);
  const nodeHash = (left, right) => sha256(Uint8Array.of(1), left, right);

  // RFC 9162, section 2.1.3.2. Sizes are BigInt: a ledger may outgrow the 32 bits of JavaScript's shifts.
  async function rootOfPath(index, size, leaf, path) {
    let [at, last] = [BigInt(index), BigInt(size) - 1n];
    if (at < 0n || at > last || [leaf, ...path].some((part) => part.length !== 32)) return null;
    let root = leaf;
    for (const part of path) {
      if (last === 0n) return null;
      if (at & 1n || at === last) {
        root = await nodeHash(part, root);
        while (!(at & 1n) && at) [at, last] = [at >> 1n, last >> 1n];
      } else {
        root = await nodeHash(root, part);
      }
      [at, last] = [at >> 1n, last >> 1n];
    }
    return last === 0n ? root : null;
  }

  // RFC 9162, section 2.1.4.2: whether the tree with `root` begins with the tree with `oldRoot`.
  async function isConsistent(oldSize, size, path, oldRoot, root) {
    const [before, now] = [BigInt(oldSize), BigInt(size)];
    if (before < 0n || before > now || path.some((part) => part.length !== 32)) return false;
    if (before === 0n || before === now) {
      return path.length === 0 && (before !== now || same(oldRoot, root));
    }
    const parts = before & (before - 1n) ? [...path] : [oldRoot, ...path];
    if (!parts.length) return false;
    let [at, last] = [before - 1n, now - 1n];
    while (at & 1n) [at, last] = [at >> 1n, last >> 1n];
    let [old, whole] = [parts[0], parts[0]];
    for (const part of parts.slice(1)) {
      if (last === 0n) return false;
      if (at & 1n || at === last) {
        [old, whole] = [await nodeHash(part, old), await nodeHash(part, whole)];
        while (!(at & 1n) && at) [at, last] = [at >> 1n, last >> 1n];
      } else {
        whole = await nodeHash(whole, part);
      }
      [at, last] = [at >> 1n, last >> 1n];
    }
    return last === 0n && same(old, oldRoot) && same(whole, root);
  }

  // A C2SP signed note that holds a checkpoint. Throws an Error that says what is wrong with it.
  function readNote(note) {
    const gap = note.lastIndexOf("\n\n");
    if (gap < 0 || !note.endsWith("\n")) throw new Error("The checkpoint is not a signed note.");
    const text = note.slice(0, gap + 1);
    const [origin, size, root] = text.split("\n");
    if (!origin || !/^(0|[1-9][0-9]{0,18})$/.test(size ?? "") || !root) {
      throw new Error("The signed note is no checkpoint.");
    }
    const signatures = note.slice(gap + 2, -1).split("\n").map((line) => {
      const [, name, signature] = /^\u2014 (\S+) (\S+)$/.exec(line) ?? [];
      if (!name) throw new Error("A signature line of the checkpoint cannot be read.");
      const raw = fromBase64(signature);
      return { name, id: hex(raw.slice(0, 4)), signature: raw.slice(4) };
    });
    const rootBytes = fromBase64(root);
    if (rootBytes.length !== 32) throw new Error("The checkpoint's root is not 32 bytes.");
    return { origin, size, root: rootBytes, text, signatures };
  }

  async function readKey(text) {
    const [, name, id, encoded] = /^([^+\s]+)\+([0-9a-f]{8})\+(.+)$/.exec(text) ?? [];
    const raw = encoded ? fromBase64(encoded) : new Uint8Array();
    const known = hex((await sha256(utf8(`${name}\n`), raw)).slice(0, 4));
    if (raw[0] !== 1 || raw.length !== 33 || known !== id) {
      throw new Error(`${text.slice(0, 80)} is no Ed25519 verifier key.`);
    }
    return { text, name, id, raw: raw.slice(1) };
  }

  // Returns the keys that signed a note, or null where this browser knows no Ed25519. Throws when a known key's signature
  // is wrong, or no known key signed.
  async function signers(note, keyTexts) {
    const signed = [];
    for (const text of keyTexts) {
      const key = await readKey(text);
      for (const line of note.signatures.filter((one) => one.name === key.name && one.id === key.id)) {
        let imported;
        try {
          imported = await crypto.subtle.importKey("raw", key.raw, { name: "Ed25519" }, false, ["verify"]);
        } catch (missing) {
          if (missing.name === "NotSupportedError") return null;
          throw missing;
        }
        if (!(await crypto.subtle.verify({ name: "Ed25519" }, imported, line.signature, utf8(note.text)))) {
          throw new Error(`The checkpoint's signature by ${key.name}+${key.id} does not fit its text.`);
        }
        signed.push(text);
      }
    }
    if (!signed.length) throw new Error("No key of this ledger signed the checkpoint.");
    return signed;
  }

  const step = (state, text) => ({ state, text });

  async function signatureStep(note, keys) {
    const who = await signers(note, keys);
    if (who === null) {
      return step("unknown", "This browser cannot check Ed25519 signatures: who signed the checkpoint is not checked.");
    }
    return step("good", `The checkpoint of ${note.size} entries is signed by ${who.map((key) => key.split("+")[0]).join(", ")}.`);
  }

  // Checks one proof of `/v1/ledger/proof/...`. Returns steps, each {state: good | bad | unknown, text}.
  // `record`: {salt, text} of what the entry commits to, or null.
  async function checkProof(proof, keys, record) {
    const steps = [];
    try {
      const { entry } = proof;
      const leaf = await leafHash(utf8(entry.body));
      if (hex(leaf) !== entry.leaf_hash) throw new Error("The entry's body is not what was hashed.");
      const body = JSON.parse(entry.body);
      const repeated = ["kind", "subject_id", "at_ms"];
      const wrong = repeated.every((name) => name in body) ? repeated.filter((name) => body[name] !== entry[name]) : [];
      if (wrong.length) throw new Error(`The entry's ${wrong.join(", ")} are not those of its body.`);
      if (body.decision !== undefined && body.decision !== entry.subject_id) {
        throw new Error("The entry's body speaks of another decision.");
      }
      if (record !== null && typeof body.commitment === "string") {
        const committed = await sha256(fromHex(record.salt), utf8(record.text));
        if (hex(committed) !== body.commitment) {
          throw new Error("The record is not what its entry commits to: it was changed afterwards.");
        }
        steps.push(step("good", "The record shown here is what the entry commits to."));
      }
      steps.push(step("good", `Entry ${proof.index} (${entry.kind}) hashes to its leaf ${entry.leaf_hash.slice(0, 16)}\u2026`));
      const note = readNote(proof.checkpoint);
      const root = await rootOfPath(proof.index, note.size, leaf, proof.path.map(fromHex));
      if (!same(root, note.root)) {
        throw new Error(`Entry ${proof.index} is not in the tree of ${note.size} entries that was signed.`);
      }
      steps.push(step("good", `${proof.path.length} hashes lead from the leaf to the root of ${note.size} entries.`));
      steps.push(await signatureStep(note, keys));
    } catch (wrong) {
      steps.push(step("bad", wrong.message));
    }
    return steps;
  }

  // Checks the newest checkpoint against the one that was seen last. `fetchPath(size)` returns the consistency proof's path.
  async function checkNewest(newest, seen, fetchPath) {
    const steps = [];
    try {
      const note = readNote(newest.note);
      steps.push(await signatureStep(note, newest.verifier_keys));
      if (hex(note.root) !== newest.root || String(newest.size) !== note.size) {
        throw new Error("The size or root shown is not the one that was signed.");
      }
      if (seen === null) {
        steps.push(step("unknown", "This browser saw no checkpoint before; it keeps this one to compare with."));
        return steps;
      }
      if (!seen.keys.some((key) => newest.verifier_keys.includes(key))) {
        throw new Error("The ledger names none of the keys that this browser saw before.");
      }
      const before = readNote(seen.note);
      if (BigInt(before.size) > BigInt(note.size)) {
        throw new Error(`The ledger had ${before.size} entries when this browser last looked, now ${note.size}: rolled back.`);
      }
      const path = before.size === note.size ? [] : await fetchPath(before.size, note.size);
      if (!(await isConsistent(before.size, note.size, path.map(fromHex), before.root, note.root))) {
        throw new Error(`The first ${before.size} entries are not those that this browser saw: the ledger was rewritten.`);
      }
      steps.push(step("good", `It begins with the ${before.size} entries that this browser last saw: nothing was rewritten.`));
    } catch (wrong) {
      steps.push(step("bad", wrong.message));
    }
    return steps;
  }

  function seenBefore() {
    try {
      const kept = JSON.parse(localStorage.getItem(SEEN));
      return kept && typeof kept.note === "string" && Array.isArray(kept.keys) ? kept : null;
    } catch {
      return null;
    }
  }

  function keep(newest) {
    try {
      localStorage.setItem(SEEN, JSON.stringify({ note: newest.note, keys: newest.verifier_keys }));
    } catch {
      // A browser that keeps nothing compares nothing; the page says so on the next visit.
    }
  }

  class NotYet extends Error {}

  async function asked(path, isText = false) {
    const answer = await fetch(path, { headers: { accept: "application/json" }, credentials: "same-origin" });
    if (answer.ok) return isText ? answer.text() : answer.json();
    const problem = await answer.json().catch(() => ({}));
    const wrong = problem.detail ?? `${path} answered ${answer.status}.`;
    throw answer.status === 503 ? new NotYet(wrong) : new Error(wrong);
  }

  async function proofOf(section) {
    const { subject, salt, record } = section.dataset;
    const newest = await asked("/v1/ledger/checkpoint");
    const { proofs } = await asked(`/v1/ledger/proof/${encodeURIComponent(subject)}`);
    const whole = salt && record ? { salt, text: await asked(record, true) } : null;
    const steps = [];
    for (const proof of proofs) steps.push(...(await checkProof(proof, newest.verifier_keys, whole)));
    return steps;
  }

  async function newestOf() {
    const newest = await asked("/v1/ledger/checkpoint");
    const fetchPath = async (size, of) => (await asked(`/v1/ledger/consistency?size=${size}&of=${of}`)).path;
    const steps = await checkNewest(newest, seenBefore(), fetchPath);
    // What does not fit is not kept: the older checkpoint is the evidence.
    if (steps.every((one) => one.state !== "bad")) keep(newest);
    return steps;
  }

  const MARKS = { good: "\u2713", bad: "\u2717", unknown: "?" };
  const WORDS = { good: "fits", bad: "does not fit", unknown: "not checked" };

  function show(section, steps) {
    const list = section.querySelector("[data-steps]");
    const worst = ["bad", "unknown", "good"].find((state) => steps.some((one) => one.state === state));
    list.replaceChildren(...steps.map(({ state, text }) => {
      const item = document.createElement("li");
      const mark = document.createElement("span");
      item.className = `proof-step ${state}`;
      mark.className = "proof-mark";
      mark.setAttribute("role", "img");
      mark.setAttribute("aria-label", WORDS[state]);
      mark.textContent = MARKS[state];
      item.append(mark, ` ${text}`);
      return item;
    }));
    section.dataset.state = worst ?? "unknown";
    section.querySelector("[data-said]").textContent = {
      good: "Checked in this browser: everything fits.",
      bad: "Checked in this browser: something does not fit. Tell whoever looks after the ledger.",
      unknown: "Checked in this browser as far as it can.",
    }[section.dataset.state];
  }

  async function run(section) {
    const said = section.querySelector("[data-said]");
    if (!globalThis.crypto?.subtle) {
      said.textContent = "This browser checks nothing here: it computes hashes only on pages that came over https or from this machine.";
      section.dataset.state = "unknown";
      return;
    }
    said.textContent = "Checking\u2026";
    for (let tries = 0; ; tries += 1) {
      try {
        show(section, await (section.dataset.subject ? proofOf(section) : newestOf()));
        return;
      } catch (wrong) {
        if (!(wrong instanceof NotYet) || tries === 5) {
          show(section, [step("unknown", wrong.message)]);
          return;
        }
        await new Promise((resolve) => setTimeout(resolve, 1000));
      }
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    for (const section of document.querySelectorAll("[data-ledger]")) {
      const again = section.querySelector("button[data-check]");
      if (again) {
        again.hidden = false;
        again.addEventListener("click", () => run(section));
      }
      run(section);
    }
  });

  return { leafHash, nodeHash, rootOfPath, isConsistent, readNote, readKey, signers, checkProof, checkNewest, hex, fromHex };
})();
