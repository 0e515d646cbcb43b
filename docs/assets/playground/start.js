// The entry: each playground comes to life when it comes near the screen.

const near = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries)
      if (isIntersecting) {
        near.unobserve(target);
        import("./app.js").then(({ mount }) => mount(target));
      }
  },
  { rootMargin: "600px" },
);
for (const root of document.querySelectorAll(".playground")) near.observe(root);
