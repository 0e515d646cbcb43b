// The theme's search, whose script is this worker's name, with one error of its index corrected.

"use strict";

importScripts(self.name);

// The index takes two nodes of the same text for one. Its own text runs the edges together, so two nodes
// with edges "1" and "2" may look the same though they lead elsewhere. Then searches for other words fail.
lunr.TokenSet.prototype.toString = function () {
  const edges = Object.keys(this.edges).sort();
  return this._str ?? [+this.final, ...edges.map((label) => label + this.edges[label].id)].join(" ");
};
