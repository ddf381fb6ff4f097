// An event collector as gen-event: keeps the last hundred casts and infos, whatever they are. Calls: `count`, `list`, `clear`.

const KEPT = 100;

export class Collector {
  lines = [];

  event(event) {
    this.lines.push(`${event.type}: ${event.text()}`);
    if (this.lines.length > KEPT) this.lines.shift();
  }

  request(call) {
    switch (call.type) {
      case "count":
        return this.lines.length;
      case "list":
        return this.lines.map((line) => `${line}\n`).join("");
      case "clear":
        return this.lines.splice(0).length;
      default:
        return call.unknown();
    }
  }
}
