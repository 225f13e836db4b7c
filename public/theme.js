// Before the first paint: the theme that was chosen on an earlier visit. A script of its own, because the page's
// policy forbids inline ones and a module would run after the first paint.
try {
  const { theme } = JSON.parse(localStorage.getItem("tabhyve.settings.v1") ?? "{}");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // nothing stored, or storage is forbidden: the system's theme
}
