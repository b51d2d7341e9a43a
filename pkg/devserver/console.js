const steps = document.getElementById('steps'), state = document.getElementById('state'), live = document.getElementById('live');
if (steps && steps.dataset.events && window.EventSource) {
  const source = new EventSource(steps.dataset.events);
  const atEnd = () => window.innerHeight + window.scrollY > document.body.scrollHeight - 120;
  source.onopen = () => { live.textContent = 'New requests appear here.'; };
  source.onerror = () => { live.textContent = 'The server does not respond.'; };
  source.addEventListener('step', (event) => {
    const follow = atEnd();
    steps.insertAdjacentHTML('beforeend', JSON.parse(event.data));
    while (steps.children.length > 300) steps.firstElementChild.remove();
    if (follow) steps.lastElementChild.scrollIntoView({ block: 'end' });
  });
  source.addEventListener('state', (event) => { state.innerHTML = JSON.parse(event.data); });
}
