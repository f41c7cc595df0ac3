// The spec reporter, with the seconds of each file's slowest tests left in, closed by one line with the count.
const { reporters } = require('mocha');

module.exports = class Counted extends reporters.Spec {
  epilogue() {
    super.epilogue();
    const { passes, failures, pending } = this.stats;
    console.log(`${passes} passed, ${failures} failed${pending > 0 ? `, ${pending} skipped` : ''}`);
  }
};
