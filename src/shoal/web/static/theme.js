// Before anything is drawn: the look that was chosen, if one was.
const THEME = "shoal-theme";
try {
  const chosen = localStorage.getItem(THEME);
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch { /* storage is shut: the system's look it is */ }
