// The spec reporter, followed by one line that environment/test.mjs adds up.
const { reporters } = require('mocha');

module.exports = class Counted extends reporters.Spec {
  epilogue() {
    super.epilogue();
    const { passes, failures, pending } = this.stats;
    console.log(`counted ${passes} ${failures} ${pending}`);
  }
};
